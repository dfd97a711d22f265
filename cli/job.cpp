#include "cli/job.h"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "cli/builtin_jobs.h"
#include "cli/stage.h"
#include "cli/toml.h"
#include "core/file.h"
#include "core/hash.h"
#include "rewards/recipes/recipes.h"

namespace diffreward::cli {
namespace {

namespace fs = std::filesystem;

const std::set<std::string> kTexts = {"title", "about", "column", "group", "extends"};
const std::set<std::string> kLists = {"steps", "figures", "drop"};
const std::set<std::string> kTables = {"sweep", "set", "run"};
constexpr int kDeepest = 8;  // files that extend each other

bool is_variable(const std::string& key) {
  return !kTexts.contains(key) && !kLists.contains(key) && !kTables.contains(key);
}

/// Calls `body`; what it throws is wrong use, and names where.
template <class Body>
auto named(const std::string& where, const Body& body) -> decltype(body()) {
  try {
    return body();
  } catch (const Error& error) {
    const std::string text = error.what();
    throw UsageError(text.starts_with(where) ? text : concat(where, ": ", text));
  }
}

std::vector<std::string> names_in(const Json& list) {
  std::vector<std::string> names;
  for (const Json& item : list) names.push_back(item.at("name"));
  return names;
}

/// The entry of a name; null where there is none.
Json* find_named(Json& list, const std::string& name) {
  for (Json& item : list)
    if (item.at("name") == name) return &item;
  return nullptr;
}

void check_document(const Json& document) {
  for (const auto& [key, value] : document.items()) {
    if (kTexts.contains(key)) require(value.is_string(), key, ": expected a text, got ", brief(value));
    if (kTables.contains(key)) require(value.is_object(), key, ": expected a table, got ", brief(value));
    if (kLists.contains(key)) require(value.is_array(), key, ": expected a list, got ", brief(value));
  }
  for (const char* list : {"steps", "figures"}) {
    std::set<std::string> names;
    for (const Json& item : document.value(list, Json::array())) {
      require(item.is_object() && item.contains("name") && item.at("name").is_string() &&
                  !item.at("name").get<std::string>().empty(),
              list, ": expected tables with a name, got ", brief(item));
      require(names.insert(item.at("name")).second, list, ": expected one name each, got two of ",
              brief(item.at("name")));
    }
  }
  for (const Json& step : document.value("steps", Json::array())) {
    const std::string name = step.at("name");
    const bool plain = std::all_of(name.begin(), name.end(), [](unsigned char c) {
      return std::isalnum(c) != 0 || c == '_' || c == '-';
    });
    require(plain, "steps: expected a name of letters, digits, _ and -, got ", brief(step.at("name")));
    for (const char* key : {"command", "like"})
      require(!step.contains(key) || step.at(key).is_string(), "steps: ", name, ": ", key,
              ": expected a name, got ", brief(step.value(key, Json())));
    if (step.contains("set"))
      require(step.at("set").is_array() && std::all_of(step.at("set").begin(), step.at("set").end(),
                                                       [](const Json& change) { return change.is_object(); }),
              "steps: ", name, ": set: expected tables, got ", brief(step.at("set")));
    require(step.contains("command") != step.contains("like"), "steps: ", name,
            ": expected a command, or another step that it is like");
  }
}

/// Changes the fields of steps that `tables` names.
void change_steps(Json& document, const Json& tables) {
  for (const auto& [name, fields] : tables.items()) {
    Json* step = find_named(document["steps"], name);
    if (step == nullptr)
      throw UsageError(concat("set: ", unknown_name("step", name, names_in(document["steps"]))));
    require(fields.is_object(), "set: ", name, ": expected a table, got ", brief(fields));
    (*step)["set"].push_back(fields);
  }
}

/// `document` laid over the one that it extends.
Json lay_over(Json under, const Json& document) {
  for (const Json& name : document.value("drop", Json::array())) {
    if (name == "figures") {
      under["figures"] = Json::array();
      continue;
    }
    bool found = false;
    for (const char* list : {"steps", "figures"}) {
      Json kept = Json::array();
      for (const Json& item : under.value(list, Json::array()))
        if (item.at("name") == name)
          found = true;
        else
          kept.push_back(item);
      under[list] = kept;
    }
    require(found, "drop: expected `figures`, or the name of a step or a figure, got ", brief(name));
  }
  for (const auto& [key, value] : document.items()) {
    if (key == "extends" || key == "drop" || key == "set") continue;
    if (key == "steps" || key == "figures") {
      for (const Json& item : value)
        if (Json* old = find_named(under[key], item.at("name")))
          *old = item;
        else
          under[key].push_back(item);
    } else if (value.is_object() && key != "sweep") {
      merge_config(under[key], value);
    } else {
      under[key] = value;
    }
  }
  return under;
}

/// The text of a file or of a built-in job, and the folder that its `extends` is relative to.
struct Source {
  std::string text;
  std::optional<fs::path> folder;  // none: built in
};

Source source_of(const std::string& name, const std::optional<fs::path>& beside) {
  std::error_code ignored;
  if (beside)
    for (const fs::path& file : {*beside / name, *beside / (name + ".toml")})
      if (fs::is_regular_file(file, ignored)) return {read_file(file), file.parent_path()};
  for (const auto& [job, text] : kBuiltinJobs)
    if (job == name) return {std::string(text), std::nullopt};
  throw UsageError(concat(unknown_name("job", name, builtin_jobs()), " (and no file has this name)"));
}

Json load(const std::string& name, const std::optional<fs::path>& beside, int depth) {
  const Source source = source_of(name, beside);
  return named(name, [&] {
    require(depth < kDeepest, "extends: expected at most ", kDeepest, " files that extend each other");
    Json document = parse_toml(source.text, name);
    check_document(document);
    const Json changes = document.value("set", Json::object());
    if (document.contains("extends"))
      document = lay_over(load(document.at("extends"), source.folder, depth + 1), document);
    change_steps(document, changes);
    for (const char* used : {"set", "drop", "extends"}) document.erase(used);
    check_document(document);
    return document;
  });
}

/// Every variable by its dotted name.
using Variables = std::map<std::string, Json>;

std::vector<std::string> names_of(const Variables& variables) {
  std::vector<std::string> names;
  for (const auto& [name, unused] : variables) names.push_back(name);
  return names;
}

const RecipeEntry* recipe_of(const std::string& table) {
  for (const RecipeEntry& entry : recipe_catalog())
    if (entry.name == table) return &entry;
  return nullptr;
}

/// Every variable that a document has, or that its recipes choose.
std::vector<std::string> variable_names(const Json& document) {
  std::vector<std::string> known;
  for (const auto& [name, item] : document.items()) {
    if (!is_variable(name)) continue;
    if (!item.is_object()) known.push_back(name);
    if (const RecipeEntry* recipe = recipe_of(name))
      for (const FieldInfo& field : recipe->fields()) known.push_back(name + "." + field.name);
    else if (item.is_object())
      for (const auto& [inner, unused] : item.items()) known.push_back(name + "." + inner);
  }
  return known;
}

void find_variable(const Json& document, const std::string& name) {
  const std::vector<std::string> known = variable_names(document);
  if (std::find(known.begin(), known.end(), name) == known.end())
    throw UsageError(concat("sweep: ", unknown_name("variable", name, known)));
}

void assign(Json& document, const std::string& dotted, const Json& value) {
  document[detail::pointer_of(dotted)] = value;
}

Variables variables_of(const Json& document) {
  Variables variables;
  for (const auto& [key, value] : document.items()) {
    if (!is_variable(key)) continue;
    if (!value.is_object()) {
      variables[key] = value;
      continue;
    }
    const RecipeEntry* recipe = recipe_of(key);
    const Json table = recipe == nullptr ? value : named(key, [&] { return recipe->choose(value); });
    for (const auto& [name, item] : table.items()) variables[key + "." + name] = item;
  }
  return variables;
}

const Json& look_up(const Variables& variables, const std::string& name) {
  const auto found = variables.find(name);
  if (found == variables.end()) throw UsageError(unknown_name("variable", name, names_of(variables)));
  return found->second;
}

std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

bool is_empty(const Json& value) {
  return value.is_null() || value == "" || (value.is_structured() && value.empty());
}

/// A text with its ${variables} replaced; of the variable's type where it is nothing else.
Json substitute(const std::string& text, const Variables& variables) {
  std::string out;
  std::size_t at = 0;
  for (std::size_t open; (open = text.find("${", at)) != std::string::npos;) {
    const std::size_t close = text.find('}', open);
    require(close != std::string::npos, "expected } behind ${ in '", text, "'");
    const Json& value = look_up(variables, text.substr(open + 2, close - open - 2));
    if (open == 0 && close + 1 == text.size()) return value;
    out += text.substr(at, open - at) + text_of(value);
    at = close + 1;
  }
  return out + text.substr(at);
}

Json substitute(const Json& value, const Variables& variables) {
  if (value.is_string()) return substitute(value.get<std::string>(), variables);
  if (!value.is_structured()) return value;
  Json out = value.is_object() ? Json::object() : Json::array();
  for (const auto& [key, item] : value.items()) {
    Json fresh = substitute(item, variables);
    if (value.is_array())
      out.push_back(std::move(fresh));
    else if (item == fresh || !is_empty(fresh))  // an empty variable leaves its key out
      out[text_of(substitute(key, variables))] = std::move(fresh);
  }
  return out;
}

const Command& stage_command(const std::string& name) {
  std::vector<std::string> known;
  for (const Command& command : commands()) {
    if (command.stage == nullptr) continue;
    if (command.name == name) return command;
    known.push_back(command.name);
  }
  throw UsageError(unknown_name("command of a step", name, known));
}

/// The steps of one run, inputs by the names of steps.
std::vector<JobStep> resolve_steps(const Json& document, const Variables& variables) {
  std::vector<JobStep> steps;
  std::map<std::string, Json> raw;  // before variables are put in: what `like` starts from
  for (const Json& entry : document.value("steps", Json::array())) {
    const std::string name = entry.at("name");
    named("step " + name, [&] {
      JobStep step{name, entry.value("command", ""), Json::object()};
      Json config = Json::object();
      if (entry.contains("like")) {
        const std::string like = entry.at("like");
        const auto model =
            std::find_if(steps.begin(), steps.end(), [&](const JobStep& s) { return s.name == like; });
        if (model == steps.end()) {
          std::vector<std::string> earlier;
          for (const JobStep& s : steps) earlier.push_back(s.name);
          throw UsageError(concat("like: ", unknown_name("earlier step", like, earlier)));
        }
        step.command = model->command;
        config = raw.at(like);
      }
      const Command& command = stage_command(step.command);
      const auto lay = [&](Json fields) {
        for (const char* own : {"name", "command", "like", "set"}) fields.erase(own);
        merge_config(config, expand_names(fields, command.fields()));
      };
      lay(entry);
      for (const Json& change : entry.value("set", Json::array())) lay(change);
      for (const char* place : {"out", "reuse", "threads"})
        require(!config.contains(place), place, ": expected no such key, the job decides it");
      raw[name] = config;
      step.config = substitute(config, variables);
      steps.push_back(step);
    });
  }
  return steps;
}

/// Replaces a step's name by `with` where the option `dotted` holds it.
void replace_input(Json& config, const std::string& dotted, const std::string& name, const Json& with) {
  Json& value = config[detail::pointer_of(dotted)];
  if (value == name) value = with;
  if (value.is_array())
    for (Json& item : value)
      if (item == name) item = with;
}

struct Reference {
  std::string option, step;
};

/// The earlier steps that a step reads, found in what its command says are inputs.
std::vector<Reference> references_of(const JobStep& step, const std::vector<std::string>& earlier,
                                     const std::vector<std::string>& all) {
  Json config = step.config;
  config["out"] = step.name;
  std::vector<Reference> references;
  for (const StageInput& input : stage_command(step.command).stage(config).inputs) {
    if (input.path.empty()) continue;
    const auto has = [&](const std::vector<std::string>& names) {
      return std::find(names.begin(), names.end(), input.path) != names.end();
    };
    if (has(earlier)) {
      references.push_back({input.option, input.path});
      continue;
    }
    if (has(all))
      throw UsageError(
          concat(input.option, ": expected an earlier step, got ", input.path, ", which is not"));
    std::error_code ignored;
    if (!input.or_text && !fs::exists(stage_folder(input.path), ignored))
      throw UsageError(concat(input.option, ": ", unknown_name("earlier step", input.path, earlier),
                              " (and no file has this name)"));
  }
  return references;
}

std::string folder_of(const std::string& variable, const Json& value) {
  const auto dot = variable.rfind('.');
  std::string name = (dot == std::string::npos ? variable : variable.substr(dot + 1)) + "_";
  std::string text = text_of(value);
  if (value.is_array()) {
    text.clear();
    for (const Json& item : value) text += (text.empty() ? "" : "_") + text_of(item);
  }
  for (const char c : text)
    name += std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '-' ? c : '_';
  return name;
}

/// Hash of what a step's product depends on, by names of steps.
std::map<std::string, std::string> contents_of(const std::vector<JobStep>& steps,
                                               const std::vector<std::vector<Reference>>& references) {
  std::map<std::string, std::string> contents;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    Json config = steps[i].config;
    for (const Reference& r : references[i])
      replace_input(config, r.option, r.step, Json{{"of", contents.at(r.step)}});
    contents[steps[i].name] = sha256(Json{{"command", steps[i].command}, {"config", config}}.dump());
  }
  return contents;
}

/// Names of folders by what steps' products depend on: equal configs have equal ones, however they were written.
std::map<std::string, std::string> folders_by_content(const std::vector<JobStep>& steps,
                                                      const std::vector<std::vector<Reference>>& references) {
  constexpr std::size_t kDigits = 16;  // of SHA-256: no two of 10^6 steps meet
  std::map<std::string, std::string> names;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    Json config = steps[i].config;
    for (const Reference& r : references[i]) replace_input(config, r.option, r.step, names.at(r.step));
    config["out"] = steps[i].name;
    Json resolved = stage_command(steps[i].command).stage(config).config;
    for (const char* place : {"out", "threads", "reuse"}) resolved.erase(place);
    const Json content = {{"command", steps[i].command}, {"config", resolved}};
    names[steps[i].name] = concat(steps[i].name, "-", sha256(content.dump()).substr(0, kDigits));
  }
  return names;
}

/// One combination of values, resolved but for folders.
struct Draft {
  std::vector<JobStep> steps;
  std::vector<std::vector<Reference>> references;
  std::map<std::string, std::string> contents;
};

/// The variables with one value of each axis.
Variables variables_at(Json document, const std::vector<JobAxis>& axes, const std::vector<Json>& values) {
  for (std::size_t i = 0; i < axes.size(); ++i) assign(document, axes[i].variable, values[i]);
  return variables_of(document);
}

Draft draft_of(const Json& document, const std::vector<JobAxis>& axes, const std::vector<Json>& values) {
  Draft draft;
  draft.steps = resolve_steps(document, variables_at(document, axes, values));
  std::vector<std::string> all, earlier;
  for (const JobStep& step : draft.steps) all.push_back(step.name);
  for (const JobStep& step : draft.steps) {
    draft.references.push_back(named("step " + step.name, [&] { return references_of(step, earlier, all); }));
    earlier.push_back(step.name);
  }
  draft.contents = contents_of(draft.steps, draft.references);
  return draft;
}

/// A value beside all of an axis, to see what depends on it where there is only one.
Json another(const JobAxis& axis) {
  std::uint64_t most = 0;
  for (const Json& value : axis.values) most = std::max(most, value.get<std::uint64_t>());
  return most == std::numeric_limits<std::uint64_t>::max() ? most - 1 : most + 1;
}

std::vector<std::vector<Json>> combinations(const std::vector<JobAxis>& axes) {
  std::vector<std::vector<Json>> all = {{}};
  for (const JobAxis& axis : axes) {
    std::vector<std::vector<Json>> longer;
    for (const std::vector<Json>& start : all)
      for (const Json& value : axis.values) {
        longer.push_back(start);
        longer.back().push_back(value);
      }
    all = longer;
  }
  return all;
}

std::vector<JobAxis> axes_of(const Json& document, const std::vector<std::uint64_t>& seeds) {
  std::vector<JobAxis> axes;
  if (!seeds.empty()) {
    require(document.contains("seed"), "seeds: expected a job with the variable `seed`, found none");
    axes.push_back({"seed", {seeds.begin(), seeds.end()}});
  }
  const Json sweep = document.value("sweep", Json::object());
  for (const auto& [name, values] : sweep.items()) {
    require(name != "seed", "sweep: seed: expected seeds by --seeds, found them swept");
    find_variable(document, name);
    require(values.is_array() && !values.empty(), "sweep: ", name, ": expected a list of values, got ",
            brief(values));
    axes.push_back({name, {values.begin(), values.end()}});
  }
  for (const JobAxis& axis : axes)
    for (std::size_t i = 0; i < axis.values.size(); ++i)
      for (std::size_t j = 0; j < i; ++j)
        require(folder_of(axis.variable, axis.values[i]) != folder_of(axis.variable, axis.values[j]),
                axis.variable, ": expected values with folders of their own, got ", brief(axis.values[j]),
                " and ", brief(axis.values[i]));
  return axes;
}

}  // namespace

std::vector<std::string> builtin_jobs() {
  std::vector<std::string> names;
  for (const auto& [name, unused] : kBuiltinJobs) names.emplace_back(name);
  return names;
}

Json load_job(const std::string& file_or_name) {
  return load(file_or_name, fs::path(), 0);
}

Json set_in_job(Json document, const Json& values, const std::string& option) {
  for (const auto& [key, value] : values.items()) {
    const auto dot = key.find('.');
    const std::string first = key.substr(0, dot);
    if (dot != std::string::npos && find_named(document["steps"], first) != nullptr) {
      change_steps(document, {{first, {{key.substr(dot + 1), value}}}});
      continue;
    }
    std::vector<std::string> known = variable_names(document);
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      for (const std::string& step : names_in(document["steps"])) known.push_back(step + ".<key>");
      throw UsageError(concat(option, ": ", unknown_name("variable or step", key, known)));
    }
    if (document.contains("sweep")) document["sweep"].erase(key);  // one value in place of all
    assign(document, key, value);
  }
  return document;
}

namespace {

Job plan(const Json& document, const fs::path& out, const std::vector<std::uint64_t>& seeds,
         StepFolders places) {
  Job job;
  job.axes = axes_of(document, seeds);
  std::vector<Draft> drafts;
  for (const std::vector<Json>& values : combinations(job.axes)) {
    drafts.push_back(draft_of(document, job.axes, values));
    job.runs.push_back({values, {}});
  }
  require(!drafts.front().steps.empty(), "steps: expected at least one, found none");

  // The axes that each step depends on.
  std::map<std::string, std::vector<bool>> depends;
  const auto compare = [&](std::size_t axis, const Draft& a, const Draft& b) {
    for (const auto& [name, content] : a.contents) {
      std::vector<bool>& of_step = depends[name];
      of_step.resize(job.axes.size());
      if (b.contents.at(name) != content) of_step[axis] = true;
    }
  };
  for (std::size_t axis = 0; axis < job.axes.size(); ++axis) {
    if (job.axes[axis].variable == "seed") {
      std::vector<Json> values = job.runs.front().values;
      values[axis] = another(job.axes[axis]);
      compare(axis, drafts.front(), draft_of(document, job.axes, values));
    }
    for (std::size_t i = 0; i < drafts.size(); ++i)
      for (std::size_t j = 0; j < i; ++j) {
        std::vector<Json> a = job.runs[i].values, b = job.runs[j].values;
        a.erase(a.begin() + std::ptrdiff_t(axis));
        b.erase(b.begin() + std::ptrdiff_t(axis));
        if (a == b) compare(axis, drafts[i], drafts[j]);
      }
  }
  for (std::size_t i = 0; i < drafts.size(); ++i) {
    std::map<std::string, fs::path> folders;
    std::map<std::string, std::string> contents;
    if (places == StepFolders::kByContent)
      contents = folders_by_content(drafts[i].steps, drafts[i].references);
    for (std::size_t s = 0; s < drafts[i].steps.size(); ++s) {
      JobStep step = drafts[i].steps[s];
      step.folder = out;
      for (std::size_t axis = 0; axis < job.axes.size() && contents.empty(); ++axis)
        if (depends[step.name][axis])
          step.folder /= folder_of(job.axes[axis].variable, job.runs[i].values[axis]);
      step.folder /= contents.empty() ? step.name : contents.at(step.name);
      for (const Reference& r : drafts[i].references[s]) {
        replace_input(step.config, r.option, r.step, folders.at(r.step).string());
        step.needs.push_back(r.step);
      }
      step.config["out"] = step.folder.string();
      step.config["reuse"] = true;
      folders[step.name] = step.folder;
      job.runs[i].steps.push_back(std::move(step));
    }
  }

  const Variables variables = variables_at(document, job.axes, job.runs[0].values);
  const auto text = [&](const char* key) {
    return text_of(substitute(Json(document.value(key, std::string())), variables));
  };
  job.title = document.contains("title") ? text("title") : "Results of a job";
  job.about = text("about");
  job.column = text("column");
  job.group = text("group");
  for (const Json& entry : document.value("figures", Json::array()))
    named("figure " + entry.at("name").get<std::string>(), [&] {
      JobFigure figure;
      update(figure, substitute(entry, variables));
      const std::vector<std::string> steps = names_in(document.at("steps"));
      require(figure.from.empty() == figure.to.empty() &&
                  (figure.from.empty() || (figure.over.empty() && figure.minus.empty())),
              "from, to: expected both, without over and minus");
      for (const std::string& path : {figure.value, figure.over, figure.minus, figure.from, figure.to}) {
        const std::string step = path.substr(0, path.find('.'));
        require(path.empty() || std::find(steps.begin(), steps.end(), step) != steps.end(),
                unknown_name("step", step, steps));
      }
      require(!figure.value.empty(), "value: expected a step and keys of its result, got nothing");
      require(figure.range.empty() || figure.range.size() == 2, "range: expected two numbers, got ",
              figure.range.size());
      job.figures.push_back(figure);
    });
  return job;
}

}  // namespace

Job plan_job(const Json& document, const fs::path& out, const std::vector<std::uint64_t>& seeds,
             StepFolders folders) {
  try {
    return plan(document, out, seeds, folders);
  } catch (const InvalidArgument& error) {
    throw UsageError(error.what());
  }
}

}  // namespace diffreward::cli
