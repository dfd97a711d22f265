#include "leaderboard/board_page.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "core/format.h"
#include "leaderboard/exports.h"
#include "report/page.h"

namespace diffreward {
namespace {

constexpr std::size_t kChartRows = 40;    // more are read in the table
constexpr std::size_t kMatrixRows = 10;   // of pairs
constexpr std::size_t kProfiles = 6;      // as many lines as a chart tells apart
constexpr std::size_t kChartName = 44;    // letters of a name in a chart
constexpr std::size_t kShownName = 2000;  // bytes of a name in a table; exports have it whole
constexpr std::size_t kShownRuns = 60;    // of a row; board show has all

constexpr const char* kStyle = R"css(
.board td, .board th { vertical-align: top; }
.board .name { display: inline-block; width: max-content; max-width: 16rem; max-height: 4.4em; overflow: hidden; overflow-wrap: anywhere; vertical-align: top; }
.board tr > .n { padding-left: 1rem; }
.board tr > :first-child { padding-left: 0; }
.board tr.more > td { padding-top: 0; font-size: .9em; }
.board tr.more > td:last-child { padding-left: 1.4rem; }
.board tr.entry > * { border-bottom: 0; }
.board details > p, .board details > ul { margin: .3rem 0; max-width: 60rem; overflow-wrap: anywhere; }
.board .shows { display: flex; flex-wrap: wrap; gap: .8rem; margin: .6rem 0; }
.board .shows figure { margin: 0; max-width: 18rem; }
.board .shows img { max-width: 100%; height: auto; }
.board summary { cursor: pointer; color: var(--soft); }
.board summary:focus-visible, .filters :focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.board .metric { display: block; font-weight: 400; }
.board td.checked { white-space: nowrap; }
.board .tier { color: var(--soft); }
.board td.why { text-align: right; min-width: 12rem; max-width: 16rem; color: var(--soft); }
.filters { display: flex; flex-wrap: wrap; gap: .6rem 1.2rem; margin: 1.6rem 0 0; font-size: .95rem; }
.filters[hidden] { display: none; }
.filters label { display: flex; gap: .4rem; align-items: center; }
.filters input, .filters select { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--rule);
  border-radius: .35rem; padding: .25rem .5rem; max-width: 100%; }
svg .label { unicode-bidi: isolate; }
@media print { .filters { display: none; } }
)css";

// Rows are shown and hidden by what they say themselves; the state is the link's, so that it can be sent on.
constexpr const char* kScript = R"js(
(() => {
  const form = document.querySelector('.filters');
  if (!form) return;
  const rows = [...document.querySelectorAll('.board tr.entry')];
  const count = form.querySelector('output');
  const fields = [...form.querySelectorAll('input, select')];
  const read = () => {
    const state = new URLSearchParams(location.hash.startsWith('#filter?') ? location.hash.slice(8) : '');
    for (const field of fields) field.value = state.get(field.name) ?? '';
  };
  const apply = () => {
    const wanted = Object.fromEntries(fields.map((field) => [field.name, field.value]));
    const text = wanted.q.toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const good = row.textContent.toLowerCase().includes(text) && (!wanted.kind || row.dataset.kind === wanted.kind) &&
        (!wanted.checked || row.dataset.checked === wanted.checked);
      row.hidden = !good;
      row.nextElementSibling.hidden = !good;
      shown += good;
    }
    count.textContent = shown === rows.length ? '' : shown + ' of ' + rows.length + ' rows';
  };
  form.hidden = false;
  form.addEventListener('submit', (event) => event.preventDefault());
  form.addEventListener('input', () => {
    const state = new URLSearchParams(fields.filter((field) => field.value).map((field) => [field.name, field.value]));
    history.replaceState(null, '', String(state) ? '#filter?' + state : location.pathname + location.search);
    apply();
  });
  addEventListener('hashchange', () => { read(); apply(); });
  read();
  apply();
})();
)js";

/// Control characters as their pictures, which HTML cannot hold; at most so many bytes.
std::string visible(const std::string& text, std::size_t most) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (out.size() >= most && (c & 0xc0u) != 0x80u) return out + "…";
    if (c < 32)
      out += concat("\xe2\x90", static_cast<char>(0x80u + c));
    else
      out += c == 127 ? std::string("\xe2\x90\xa1") : std::string(1, text[i]);
  }
  return out;
}

/// A text of its own direction, which turns nothing around it.
std::string isolated(const std::string& text, std::size_t most = kShownName) {
  return "<bdi>" + escape_html(visible(text, most)) + "</bdi>";
}

std::string code(const std::string& text) {
  return "<code>" + escape_html(visible(text, kShownName)) + "</code>";
}

/// Marks that turn the direction of what follows as a sign of something unknown: a chart isolates nothing.
std::string without_direction(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto at = [&](std::size_t k) {
      return i + k < text.size() ? static_cast<unsigned char>(text[i + k]) : 0u;
    };
    const bool mark =
        at(0) == 0xe2 &&
        ((at(1) == 0x80 && ((at(2) >= 0x8e && at(2) <= 0x8f) || (at(2) >= 0xa8 && at(2) <= 0xae))) ||
         (at(1) == 0x81 && at(2) >= 0xa6 && at(2) <= 0xa9));
    out += mark ? std::string("\xef\xbf\xbd") : std::string(1, text[i]);
    if (mark) i += 2;
  }
  return out;
}

std::string chart_name(const BoardRow& row) {
  return concat(without_direction(visible(row.entry.name, kChartName)), " (row ", row.entry.id, ")");
}

std::string rank_of(const Standing& standing) {
  if (!standing.unranked.empty()) return "–";
  return standing.best_rank == standing.worst_rank ? concat(standing.best_rank)
                                                   : concat(standing.best_rank, "–", standing.worst_rank);
}

/// Without an interval where all runs were equal.
std::string score_text(const Estimate& value) {
  return value.low == value.high ? format_number(value.value) : format_estimate(value);
}

/// What is behind a row: how it was made, its single runs, and its pictures.
std::string details_of(const BoardRow& row, const RowPictures& pictures) {
  const BoardEntry& entry = row.entry;
  const auto shows = pictures.find(entry.id);
  std::string out = concat("<details><summary>command, hashes, runs",
                           shows != pictures.end() ? ", pictures" : "", "</summary>");
  if (shows != pictures.end()) {
    out += "<div class=\"shows\">";
    for (const RowPicture& one : shows->second) out += figure_html(one.image, visible(one.caption, 200));
    out += "</div>";
  }
  if (!entry.command.empty()) out += "<p>" + code(entry.command) + "</p>";
  if (!entry.note.empty()) out += "<p>" + isolated(entry.note) + "</p>";
  out += concat("<p>row ", entry.id, " · ", code(entry.hash()), " · ",
                entry.commit.empty() ? "commit unknown" : "commit " + code(entry.commit));
  if (!entry.imported_from.empty()) out += " · from " + isolated(entry.imported_from);
  if (const auto data = entry.config.find("data"); data != entry.config.end() && data->is_array())
    for (const Json& id : *data)
      if (id.is_string()) out += " · data " + code(id.get<std::string>());
  if (!entry.superseded_by.empty()) out += " · replaced by " + code(short_hash(entry.superseded_by));
  out += concat(" · ", escape_html(entry.created.substr(0, 10)), "",
                row.programs > 1 ? concat(" · runs of ", row.programs, " programs") : "", "</p>");
  if (entry.imported_from.empty())
    out += "<p>Run it again: " + code(concat("diffreward board verify ", entry.id)) + "</p>";
  out += "<ul>";
  std::size_t shown = 0;
  for (const BoardRun& run : row.runs) {
    if (++shown > kShownRuns) {
      out += concat("<li>and ", row.runs.size() - kShownRuns,
                    " more: ", code(concat("diffreward board show ", entry.id)), "</li>");
      break;
    }
    out += "<li>" + isolated(run.task) + concat(", seed ", run.train_seed, ": ");
    out += run.failed() ? "failed: " + isolated(run.message, 200) : escape_html(format_number(run.score));
    if (!run.weights.empty()) out += " · " + code(short_hash(run.weights));
    if (!run.machine.empty()) out += " · machine " + code(run.machine.substr(0, 6));
    if (run.retracted) out += " · retracted: " + isolated(*run.retracted, 200);
    out += "</li>";
  }
  return out + "</ul></details>";
}

std::string row_html(const SuiteStandings& suite, const BoardRow& row, const RowPictures& pictures) {
  const bool ranked = row.standing.unranked.empty();
  std::string out = concat(
      "<tr class=\"entry\" data-kind=\"", escape_html(visible(row.entry.kind, 40)), "\" data-checked=\"",
      name_of(row.checked), "\"><td class=\"n\">", rank_of(row.standing), "</td><td class=\"n tier\">",
      ranked ? concat(row.standing.tier) : "–", "</td><th scope=\"row\"><span class=\"name\">",
      isolated(row.entry.name), "</span></th><td class=\"", ranked ? "n" : "why", "\">",
      ranked ? escape_html(score_text(row.standing.value.estimate))
             : "unranked: " + isolated(row.standing.unranked, 200),
      "</td>");
  for (const BoardTask& task : suite.tasks) {
    const auto mean = row.means.find(task.name);
    out += concat("<td class=\"n\">",
                  mean == row.means.end() ? "–" : escape_html(format_number(mean->second)), "</td>");
  }
  const auto standing = std::ranges::count_if(row.runs, [](const BoardRun& run) { return !run.retracted; });
  const char* css = row.checked == Checked::kVerified  ? "checked good"
                    : row.checked == Checked::kRefuted ? "checked bad"
                                                       : "checked";
  return out + concat("<td class=\"n\">", standing, row.failed > 0 ? concat(", ", row.failed, " failed") : "",
                      "</td><td class=\"", css, "\">", name_of(row.checked),
                      row.entry.dirty() ? ", changed checkout" : "",
                      "</td></tr>\n<tr class=\"more\"><td></td><td></td><td colspan=\"",
                      suite.tasks.size() + 4, "\">", details_of(row, pictures), "</td></tr>\n");
}

std::string table_html(const SuiteStandings& suite, std::size_t number, const RowPictures& pictures) {
  const std::string id = concat("standings-", number);
  std::string out =
      concat("<figure><figcaption id=\"", id,
             "\">Every method with runs here. Score: ", aggregate_words(suite.statistics.config.aggregate),
             " of normalised runs with its ", 100 * suite.statistics.config.confidence,
             " % interval; rank: the ranks it may have; tier: methods of one are not told from its first; "
             "columns of tasks: raw "
             "means.</figcaption><div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"Methods, ",
             escape_html(visible(suite.suite, 200)), "\"><table class=\"board\" aria-labelledby=\"", id,
             "\"><thead><tr><th scope=\"col\" class=\"n\">rank</th><th scope=\"col\" "
             "class=\"n\">tier</th><th scope=\"col\">method</th>"
             "<th scope=\"col\" class=\"n\">score ",
             suite.statistics.config.aggregate == "optimality_gap" ? "↓" : "↑", "</th>");
  for (const BoardTask& task : suite.tasks) {
    std::string label =
        task.name.starts_with(suite.suite + "/") ? task.name.substr(suite.suite.size() + 1) : task.name;
    if (label.ends_with("/" + task.metric))
      label.resize(label.size() - task.metric.size() - 1);  // is below it
    out += concat("<th scope=\"col\" class=\"n\">", isolated(label, 80), " <span class=\"metric\">",
                  isolated(task.metric, 40),
                  task.direction == "higher" ? " <span role=\"img\" aria-label=\"higher is better\">↑</span>"
                                             : " <span role=\"img\" aria-label=\"lower is better\">↓</span>",
                  "</span></th>");
  }
  out += "<th scope=\"col\" class=\"n\">runs</th><th scope=\"col\">checked</th></tr></thead><tbody>\n";
  for (const BoardRow& row : suite.rows) out += row_html(suite, row, pictures);
  return out + "</tbody></table></div></figure>\n";
}

void add_chart(Page& page, const SuiteStandings& suite) {
  IntervalChart chart{
      .caption = concat("Scores with ", 100 * suite.statistics.config.confidence,
                        " % intervals over runs, by tiers. 0 and 1 are fixed numbers of each task."),
      .x_label = concat(aggregate_words(suite.statistics.config.aggregate), " of normalised scores"),
      .rows = {}};
  for (const BoardRow& row : suite.rows) {
    if (!row.standing.unranked.empty() || chart.rows.size() >= kChartRows) continue;
    chart.rows.push_back({chart_name(row), row.standing.value.estimate, concat("tier ", row.standing.tier)});
  }
  if (chart.rows.empty()) return;
  if (chart.rows.size() == kChartRows)
    chart.caption += concat(" The first ", kChartRows, "; the table has all.");
  page.chart(chart);
}

/// How often a run of the row's method beats one of the column's.
void add_matrix(Page& page, const SuiteStandings& suite) {
  std::vector<const BoardRow*> ranked;
  for (const BoardRow& row : suite.rows)
    if (row.standing.unranked.empty() && ranked.size() < kMatrixRows) ranked.push_back(&row);
  if (ranked.size() < 2) return;
  std::map<std::pair<std::string, std::string>, const PairStanding*> pairs;
  for (const PairStanding& pair : suite.statistics.pairs) pairs[{pair.first, pair.second}] = &pair;
  std::string out =
      "<figure><figcaption>Chance that a run of the row's method beats one of the column's, in %; bold where "
      "the two are "
      "told apart, all pairs together.</figcaption><div class=\"scroll\" role=\"region\" tabindex=\"0\" "
      "aria-label=\"Pairs "
      "of methods, " +
      escape_html(visible(suite.suite, 200)) +
      "\"><table class=\"board\"><thead><tr><th scope=\"col\">method</th>";
  for (const BoardRow* row : ranked)
    out += concat("<th scope=\"col\" class=\"n\">row ", row->entry.id, "</th>");
  out += "</tr></thead><tbody>\n";
  for (const BoardRow* row : ranked) {
    out += concat("<tr><th scope=\"row\"><span class=\"name\">", isolated(row->entry.name, kChartName),
                  "</span> (row ", row->entry.id, ")</th>");
    for (const BoardRow* other : ranked) {
      const auto forth = pairs.find({row->standing.method, other->standing.method}),
                 back = pairs.find({other->standing.method, row->standing.method});
      const PairStanding* pair = forth != pairs.end()  ? forth->second
                                 : back != pairs.end() ? back->second
                                                       : nullptr;
      if (pair == nullptr) {
        out += "<td class=\"n\">–</td>";
        continue;
      }
      const double chance = 100 * (forth != pairs.end() ? pair->improvement : 1 - pair->improvement);
      const std::string text = concat(std::round(chance));
      out += "<td class=\"n\">" + (pair->told ? "<strong>" + text + "</strong>" : text) + "</td>";
    }
    out += "</tr>\n";
  }
  page.markup(out + "</tbody></table></div></figure>\n");
}

void add_profiles(Page& page, const Board& board, const SuiteStandings& suite) {
  std::vector<MethodScores> methods;
  std::vector<std::string> names;
  double low = 0, high = 1;
  for (const BoardRow& row : suite.rows) {
    if (!row.standing.unranked.empty() || row.failed > 0 || methods.size() >= kProfiles) continue;
    methods.push_back(scores_of(board, row.entry, suite.tasks));
    names.push_back(chart_name(row));
    for (const TaskScores& task : methods.back().tasks)
      for (const RunScore& run : task.runs) {
        low = std::min(low, run.score);
        high = std::max(high, run.score);
      }
  }
  if (methods.size() < 2) return;
  constexpr int kThresholds = 81;
  std::vector<double> thresholds;
  for (int i = 0; i < kThresholds; ++i) thresholds.push_back(low + (high - low) * i / (kThresholds - 1));
  LineChart chart{
      .caption =
          "Performance profiles: the share of runs, mean over tasks, that score more than each threshold.",
      .x_label = "normalised score",
      .y_label = "share of runs above",
      .series = {}};
  for (std::size_t i = 0; i < methods.size(); ++i) {
    ScoresByTask scores;
    for (const TaskScores& task : methods[i].tasks) {
      scores.emplace_back();
      for (const RunScore& run : task.runs) scores.back().push_back(run.score);
    }
    chart.series.push_back({names[i], thresholds, performance_profile(scores, thresholds)});
  }
  page.chart(chart);
}

std::string filters_html(const std::vector<SuiteStandings>& suites) {
  std::vector<std::string> kinds, checks;
  const auto add = [](std::vector<std::string>& names, const std::string& name) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  };
  for (const SuiteStandings& suite : suites)
    for (const BoardRow& row : suite.rows) {
      add(kinds, visible(row.entry.kind, 40));
      add(checks, name_of(row.checked));
    }
  const auto select = [](const char* name, const char* label, const std::vector<std::string>& values) {
    std::string out =
        concat("<label>", label, " <select name=\"", name, "\"><option value=\"\">all</option>");
    for (const std::string& value : values) out += "<option>" + escape_html(value) + "</option>";
    return out + "</select></label>";
  };
  return "<form class=\"filters\" aria-label=\"Filter rows\" hidden><label>Find <input type=\"search\" "
         "name=\"q\"></label>" +
         select("kind", "Kind", kinds) + select("checked", "Checked", checks) +
         "<output aria-live=\"polite\"></output></form>\n";
}

}  // namespace

std::string board_page(const Board& board, const std::vector<SuiteStandings>& suites,
                       const std::string& title, const RowPictures& pictures) {
  std::set<std::int64_t> methods;  // of which some stand in several suites
  std::size_t runs = 0;
  for (const SuiteStandings& suite : suites)
    for (const BoardRow& row : suite.rows) {
      methods.insert(row.entry.id);
      runs += row.runs.size();
    }
  Page page(visible(title, kShownName),
            "Ranks are ranges, and methods that the runs cannot tell apart share a tier. Failed runs stay; a "
            "method with "
            "gaps is not ranked. Verified means: somebody ran it again on a machine that computes the same, "
            "and every "
            "episode came out the same to the last bit.");
  page.style(kStyle).script(kScript);
  page.summary({{"Methods", concat(methods.size())}, {"Runs", concat(runs)}});
  page.markup(filters_html(suites));
  RowPictures left = pictures;  // of a row that stands in two suites the first one has them
  for (std::size_t i = 0; i < suites.size(); ++i) {
    page.section(visible(suites[i].suite, 200));
    add_chart(page, suites[i]);
    page.markup(table_html(suites[i], i + 1, left));
    for (const BoardRow& row : suites[i].rows) left.erase(row.entry.id);
    add_matrix(page, suites[i]);
    add_profiles(page, board, suites[i]);
  }
  if (suites.empty()) page.text("Nothing was submitted yet.");
  page.footer(concat("Head of the board's chain of events: `", board.head(),
                     "`. Keep it: `diffreward board check --head` tells later "
                     "whether anything before it was changed."));
  return page.html();
}

}  // namespace diffreward
