#include "rewards/image/evaluate/evaluate_images.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "agents/stable_diffusion/picture_files.h"
#include "core/file.h"
#include "core/format.h"

namespace diffreward {
namespace {

constexpr std::size_t kHeatMaps = 16;  // shown, of the highest scores with an object

/// Numbers of at most `count` pictures at equal distances of the falling order, both ends kept.
std::vector<std::size_t> spread(std::span<const ScoredImage> rows, std::size_t count) {
  std::vector<std::size_t> order(rows.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return rows[a].score > rows[b].score; });
  if (order.size() <= count) return order;
  std::vector<std::size_t> out;
  for (std::size_t k = 0; k < count; ++k)
    out.push_back(order[count == 1 ? 0 : k * (order.size() - 1) / (count - 1)]);
  return out;
}

std::vector<CategoryScore> category_scores(std::span<const ScoredImage> rows, double threshold,
                                           const BootstrapConfig& config) {
  std::map<std::pair<bool, std::string>, std::vector<double>> groups;  // negatives first
  for (const ScoredImage& row : rows)
    if (!row.category.empty()) groups[{!row.positive, row.category}].push_back(row.score);
  std::vector<CategoryScore> out;
  for (const auto& [key, scores] : groups) {
    const bool positive = !key.first;
    const std::vector<double> others = scores_of(rows, !positive);
    const auto flagged =
        std::count_if(scores.begin(), scores.end(), [&](double s) { return s >= threshold; });
    const Sample own{scores, {}}, rest{others, {}};
    out.push_back({key.second, positive, scores.size(), double(flagged) / double(scores.size()),
                   positive ? bootstrap_auroc(own, rest, config) : bootstrap_auroc(rest, own, config)});
  }
  return out;
}

std::vector<CueScore> cues_of(const ImagesScored& scored, const BootstrapConfig& config) {
  std::vector<TrivialCues> positive, negative;
  for (std::size_t i = 0; i < scored.rows.size(); ++i)
    (scored.rows[i].positive ? positive : negative).push_back(trivial_cues(scored.images[i]));
  return cue_scores(positive, negative, config);
}

/// Of the positives: where no concept is, nothing is to be pointed at.
PointingGame pointing_of(const ImagesScored& scored, const BootstrapConfig& config) {
  std::vector<PixelMap> heat, objects;
  for (std::size_t i = 0; i < scored.rows.size(); ++i) {
    if (!scored.rows[i].positive) continue;
    heat.push_back(scored.heat[i]);
    objects.push_back(scored.objects[i]);
  }
  return pointing_game(heat, objects, config);
}

void check(const ImagesScored& scored) {
  const std::size_t n = scored.rows.size();
  for (const auto& [what, size] : {std::pair{"pictures", scored.images.size()},
                                   {"heat maps", scored.heat.size()},
                                   {"objects", scored.objects.size()}})
    require(size == 0 || size == n, "evaluate_images: expected ", what, " for each of ", n,
            " rows or for none, got ", size);
}

std::string percent(double share) {
  return concat(format_number(100 * share), " %");
}

LineChart roc_chart(const RocBand& band) {
  LineChart chart{"Receiver operating characteristic, with its pointwise interval",
                  "false-positive rate",
                  "true-positive rate",
                  {}};
  chart.series.push_back({"scores", band.false_positive_rate, band.true_positive_rate, band.low, band.high});
  chart.series.push_back({"chance", {0, 1}, {0, 1}});
  return chart;
}

LineChart det_chart(const std::vector<DetPoint>& points) {
  LineSeries series{"scores", {}, {}};
  for (const DetPoint& point : points) {
    series.x.push_back(point.false_positive_deviate);
    series.y.push_back(point.miss_deviate);
  }
  return {"Detection error tradeoff, in normal deviates: -3 is 0.13 %, -2 is 2.3 %, -1 is 16 %, 0 is 50 %",
          "false-positive rate, deviates",
          "miss rate, deviates",
          {series}};
}

Table category_table(const std::vector<CategoryScore>& categories, double rate) {
  Table table{"Each category against all pictures of the other label; flagged: at the threshold of " +
                  percent(rate) + " false positives",
              {"category", "label", "pictures", "flagged, %", "AUROC", "from", "to"},
              {}};
  for (const CategoryScore& row : categories)
    table.rows.push_back({row.category, row.positive ? "positive" : "negative", concat(row.pictures),
                          format_number(100 * row.flagged), format_number(row.auroc.value),
                          format_number(row.auroc.low), format_number(row.auroc.high)});
  return table;
}

/// The others against the first.
void add_histograms(Page& page, const std::map<std::string, Histogram>& groups, const std::string& of) {
  if (groups.size() < 2) return;
  const auto& [first_name, first] = *groups.begin();
  for (auto other = std::next(groups.begin()); other != groups.end(); ++other)
    page.chart(HistogramChart{concat("Scores by ", of, ": ", first_name, " and ", other->first), "score",
                              first_name, other->first, first, other->second});
}

struct NamedSheet {
  std::string file, caption;
  Image image;
};

std::vector<NamedSheet> sheets_of(const ImagesScored& scored, const ImageEvaluationConfig& config) {
  std::vector<NamedSheet> out;
  if (scored.images.empty()) return out;
  const auto count = std::size_t(config.shown);
  const auto add = [&](const char* file, const std::string& caption, const std::vector<std::size_t>& chosen) {
    if (!chosen.empty())
      out.push_back({file, caption + ". Frames: orange with the concept, blue without",
                     contact_sheet(scored.images, scored.rows, chosen, caption, config.sheets)});
  };
  add("sheet.png", "By falling score", spread(scored.rows, count));
  add("false_positives.png", "Highest scores without the concept", worst_false_positives(scored.rows, count));
  add("false_negatives.png", "Lowest scores with the concept", worst_false_negatives(scored.rows, count));
  return out;
}

std::optional<NamedSheet> heat_sheet(const ImagesScored& scored, const ImageEvaluationConfig& config) {
  if (scored.images.empty() || scored.heat.empty()) return std::nullopt;
  SheetConfig plain = config.sheets;
  plain.blur = false;  // is done where it is due
  std::vector<std::size_t> order = worst_false_negatives(scored.rows, scored.rows.size());
  std::reverse(order.begin(), order.end());
  order.resize(std::min(order.size(), kHeatMaps));
  const std::size_t pairs = std::min(order.size(), std::size_t(std::max(1, config.sheets.columns / 2)));
  std::vector<std::string> columns;
  for (std::size_t i = 0; i < pairs; ++i) columns.insert(columns.end(), {"picture", "heat map"});
  std::vector<PictureRow> rows;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const ScoredImage& row = scored.rows[order[i]];
    const Image& image = scored.images[order[i]];
    if (i % pairs == 0) rows.emplace_back();
    rows.back().images.push_back(config.sheets.blur ? made_unrecognisable(image) : image);
    rows.back().images.push_back(heat_overlay(image, scored.heat[order[i]], config.sheets,
                                              scored.objects.empty() ? nullptr : &scored.objects[order[i]]));
    rows.back().captions.push_back(row.prompt.empty() ? row.name : row.prompt);
    rows.back().captions.push_back(concat(format_number(row.score), "  seed ", row.seed));
  }
  const Image blank{1, 1, {255, 255, 255}};
  rows.back().images.resize(2 * pairs, blank);
  rows.back().captions.resize(2 * pairs);
  return NamedSheet{"heat_maps.png",
                    scored.objects.empty() ? "Where the score comes from"
                                           : "Where the score comes from; the object is outlined",
                    side_by_side(columns, rows, plain)};
}

}  // namespace

ImageEvaluation evaluate_images(const ImagesScored& scored, const ImageEvaluationConfig& config) {
  validate(config);
  check(scored);
  const std::vector<double> positive = scores_of(scored.rows, true), negative = scores_of(scored.rows, false);
  ImageEvaluation out;
  out.positives = positive.size();
  out.negatives = negative.size();
  out.curve = roc_curve(positive, negative);
  out.band = roc_band(positive, negative, config.bootstrap);
  out.reported = threshold_at(out.curve, config.false_positive_rate);
  for (const int k : config.precision_at)
    if (std::size_t(k) <= scored.rows.size())
      out.precision.emplace_back(k, precision_at(positive, negative, std::size_t(k)));
  out.categories = category_scores(scored.rows, out.reported.threshold, config.bootstrap);
  out.by_label = group_histograms({{"with", positive}, {"without", negative}}, config.bins);
  std::map<std::string, std::vector<double>> samplers;
  for (const ScoredImage& row : scored.rows)
    if (!row.sampler.empty()) samplers[row.sampler].push_back(row.score);
  if (!samplers.empty()) out.by_sampler = group_histograms(samplers, config.bins);
  if (!scored.images.empty()) out.cues = cues_of(scored, config.bootstrap);
  if (!scored.heat.empty() && !scored.objects.empty()) out.pointing = pointing_of(scored, config.bootstrap);
  return out;
}

Json ImageEvaluation::json() const {
  // JSON has no infinity: null where nothing is flagged
  Json out = {{"positives", positives},
              {"negatives", negatives},
              {"auroc", band.auroc.json()},
              {"threshold",
               {{"value", std::isfinite(reported.threshold) ? Json(reported.threshold) : Json()},
                {"false_positive_rate", reported.false_positive_rate},
                {"true_positive_rate", reported.true_positive_rate}}},
              {"precision_at", Json::object()},
              {"categories", Json::array()},
              {"cues", Json::object()}};
  for (const auto& [k, precision_of_k] : precision) out["precision_at"][concat(k)] = precision_of_k;
  for (const CategoryScore& row : categories)
    out["categories"].push_back({{"category", row.category},
                                 {"positive", row.positive},
                                 {"pictures", row.pictures},
                                 {"flagged", row.flagged},
                                 {"auroc", row.auroc.json()}});
  for (const CueScore& cue : cues) out["cues"][cue.cue] = {{"rises", cue.rises}, {"auroc", cue.auroc.json()}};
  if (pointing)
    out["pointing"] = {{"hits", pointing->hits.json()},
                       {"chance", pointing->chance},
                       {"played", pointing->played},
                       {"left", pointing->left}};
  return out;
}

void add_sections(Page& page, const ImageEvaluation& evaluation, const ImagesScored& scored,
                  const ImageEvaluationConfig& config) {
  check(scored);
  page.section("Scores and labels");
  std::string text =
      concat("AUROC ", format_estimate(evaluation.band.auroc), " over ", evaluation.positives,
             " pictures with the concept and ", evaluation.negatives, " without. At ",
             percent(evaluation.reported.false_positive_rate), " false positives ",
             percent(evaluation.reported.true_positive_rate), " of those with it are flagged.");
  for (const auto& [k, precision] : evaluation.precision)
    text += concat(" Of the ", k, " highest scores ", percent(precision), " have it.");
  page.text(text).chart(roc_chart(evaluation.band));
  const std::vector<DetPoint> det = det_points(evaluation.curve);
  if (det.size() >= 2) page.chart(det_chart(det));
  add_histograms(page, evaluation.by_label, "label");
  add_histograms(page, evaluation.by_sampler, "sampler");
  if (!evaluation.categories.empty())
    page.section("Categories").table(category_table(evaluation.categories, config.false_positive_rate));
  if (!evaluation.cues.empty()) {
    BarChart chart{
        "AUROC of the scores and of cues that know nothing of the concept, each in its better direction",
        "AUROC",
        {{"the scores", evaluation.band.auroc}},
        ReferenceLine{0.5, "chance"}};
    for (const CueScore& cue : evaluation.cues)
      chart.bars.push_back({cue.rises ? cue.cue : "less " + cue.cue, cue.auroc});
    page.section("Trivial cues").chart(chart);
  }
  const std::optional<NamedSheet> heat = heat_sheet(scored, config);
  if (evaluation.pointing || heat) page.section("Where the score comes from");
  if (evaluation.pointing)
    page.text(concat("**Pointing game:** the heat map's maximum lies on the object in a share of ",
                     format_estimate(evaluation.pointing->hits), " of ", evaluation.pointing->played,
                     " pictures; a pixel drawn at random does in ",
                     format_number(evaluation.pointing->chance), "."));
  if (heat) page.figure(heat->image, heat->caption);
  const std::vector<NamedSheet> sheets = sheets_of(scored, config);
  if (!sheets.empty()) page.section("Pictures");
  for (const NamedSheet& sheet : sheets) page.figure(sheet.image, sheet.caption);
}

void write_image_evaluation(const std::filesystem::path& folder, Page page, const ImageEvaluation& evaluation,
                            const ImagesScored& scored, const ImageEvaluationConfig& config) {
  write_scores(folder / "scores.csv", scored.rows);
  write_file(folder / "evaluation.json", evaluation.json().dump(2) + "\n");
  for (const NamedSheet& sheet : sheets_of(scored, config)) write_png(folder / sheet.file, sheet.image);
  if (const auto heat = heat_sheet(scored, config)) write_png(folder / heat->file, heat->image);
  add_sections(page, evaluation, scored, config);
  page.save(folder / "report.html");
}

}  // namespace diffreward
