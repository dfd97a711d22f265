#include "cli/image.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <iomanip>
#include <map>
#include <numeric>
#include <ostream>
#include <set>

#include "agents/device.h"
#include "cli/command.h"
#include "core/csv.h"
#include "core/file.h"
#include "core/format.h"
#include "core/progress.h"
#include "envs/pictures.h"
#include "rewards/image/picture_latents.h"

namespace diffreward::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kReward = "reward.safetensors";
constexpr const char* kJudge = "judge.safetensors";

std::shared_ptr<ImageReward> open_reward(const std::string& path, const std::string& device) {
  return ImageReward::load(product(path, kReward), device);
}

std::vector<fs::path> picture_paths(const std::vector<std::string>& given) {
  std::vector<fs::path> paths;
  for (const std::string& path : given) {
    std::error_code ignored;
    if (!fs::is_directory(path, ignored)) {
      paths.emplace_back(path);
      continue;
    }
    const std::vector<fs::path> inside = list_pictures(path);
    if (inside.empty()) throw Error(concat(path, ": expected PNG or JPEG files in this folder, found none"));
    paths.insert(paths.end(), inside.begin(), inside.end());
  }
  return paths;
}

/// Pictures that could be read, what they earn, and lines about the others.
struct Scored {
  std::vector<fs::path> paths;
  std::vector<Image> images;
  std::vector<double> reward;
  std::vector<std::string> unreadable;
};

Scored score_pictures(const std::vector<std::string>& given, const ImageReward& reward,
                      const StableDiffusion& model) {
  Scored scored;
  const int side = picture_side(reward, model);
  for (PictureRead& read : read_pictures(picture_paths(given))) {
    if (!read.image) {
      scored.unreadable.push_back(read.reason);
      continue;
    }
    scored.paths.push_back(read.path);
    scored.images.push_back(squared(*read.image, side));
  }
  if (scored.images.empty())
    throw Error(scored.unreadable.empty() ? "images: expected pictures, found none"
                                          : scored.unreadable.front());
  scored.reward = PictureLatents::encode(model, scored.images).score(reward);
  return scored;
}

/// Below this a picture is flagged.
double threshold_of(const ImageScoreConfig& config, const ImageReward& reward, const StableDiffusion& model) {
  const std::vector<double> reference =
      config.reference.empty() ? std::vector<double>(reward.safe_scores().begin(), reward.safe_scores().end())
                               : score_pictures({config.reference}, reward, model).reward;
  require(!reference.empty(), "reference: expected pictures to take a threshold from, found none");
  return quantile(reference, config.false_positive_rate);
}

Json scores_json(const ImageScoreConfig& config, bool ranked) {
  const auto reward = open_reward(config.reward, config.model.device);
  const StableDiffusion model = load_model(config.model, config.threads);
  const Scored scored = score_pictures(config.images, *reward, model);
  const double threshold = threshold_of(config, *reward, model);
  std::vector<std::size_t> order(scored.reward.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (ranked) std::ranges::stable_sort(order, {}, [&](std::size_t i) { return scored.reward[i]; });
  Json pictures = Json::array();
  for (const std::size_t i : order)
    pictures.push_back({{"file", scored.paths[i].string()},
                        {"reward", scored.reward[i]},
                        {"flagged", scored.reward[i] < threshold}});
  return {{"pictures", pictures},
          {"threshold", threshold},
          {"false_positive_rate", config.false_positive_rate},
          {"unreadable", scored.unreadable}};
}

}  // namespace

Json run_image_score(const ImageScoreConfig& config) {
  return scores_json(config, false);
}
Json run_image_rank(const ImageScoreConfig& config) {
  return scores_json(config, true);
}

void print_image_scores(const Json& result, std::ostream& out) {
  out << "  reward  flagged  picture\n";
  for (const Json& picture : result.at("pictures"))
    out << std::setw(8) << format_number(picture.at("reward").get<double>()) << "  "
        << (picture.at("flagged").get<bool>() ? "yes    " : "no     ") << "  "
        << printable(picture.at("file").get<std::string>()) << "\n";
  out << "flagged below " << format_number(result.at("threshold").get<double>()) << ", as are "
      << format_number(100 * result.at("false_positive_rate").get<double>()) << " % of the reference\n";
  for (const Json& line : result.at("unreadable")) out << "not read: " << line.get<std::string>() << "\n";
}

int exit_code_of_image_scores(const Json& result) {
  return result.at("unreadable").empty() ? 0 : 1;
}

// --- detect

Json run_image_detect(const ImageDetectConfig& config) {
  Detector detector = Detector::load(
      config.detector, config.kinds.empty() ? config.detector + ".txt" : config.kinds, config.settings);
  for (const std::string& name : config.wanted)
    if (std::ranges::find(detector.kinds(), name) == detector.kinds().end())
      throw InvalidArgument(concat("wanted: ", unknown_name("kind", name, detector.kinds())));
  Json pictures = Json::array();
  std::vector<std::string> unreadable;
  std::string table = "file_name,label\r\n";
  const std::vector<fs::path> paths = picture_paths(config.images);
  Progress progress("detect", static_cast<std::int64_t>(paths.size()), "pictures");
  for (const fs::path& path : paths) {
    const PictureRead read = std::move(read_pictures(std::span(&path, 1)).front());
    progress.advance(1);
    if (!read.image) {
      unreadable.push_back(read.reason);
      continue;
    }
    Json found = Json::array();
    bool label = false;
    for (const Detection& one : detector.detect(*read.image)) {
      const std::string& kind = detector.kinds()[one.kind];
      label = label || config.wanted.empty() || std::ranges::find(config.wanted, kind) != config.wanted.end();
      found.push_back(
          {{"kind", kind}, {"score", one.score}, {"box", {one.left, one.top, one.width, one.height}}});
    }
    pictures.push_back({{"file", path.string()}, {"label", int(label)}, {"found", found}});
    table += concat(csv_cell(path.filename().string()), ",", int(label), "\r\n");
  }
  if (pictures.empty())
    throw Error(unreadable.empty() ? "images: expected pictures, found none" : unreadable.front());
  if (!config.table.empty()) write_file(config.table, table);
  return {{"pictures", pictures}, {"unreadable", unreadable}};
}

void print_image_detections(const Json& result, std::ostream& out) {
  out << "  label  picture\n";
  for (const Json& picture : result.at("pictures")) {
    out << "  " << picture.at("label").get<int>() << "      "
        << printable(picture.at("file").get<std::string>());
    for (const Json& one : picture.at("found"))
      out << "  " << printable(one.at("kind").get<std::string>()) << " "
          << format_number(one.at("score").get<double>());
    out << "\n";
  }
  for (const Json& line : result.at("unreadable")) out << "not read: " << line.get<std::string>() << "\n";
}

// --- report

StageSpec stage_of(const ImageReportConfig& config) {
  StageSpec stage{.command = "image report",
                  .config = to_json(config),
                  .folder = config.run.out,
                  .reuse = config.run.reuse,
                  .inputs = model_inputs(config.score.model),
                  .products = {"report.html", "scores.csv"}};
  stage.inputs.push_back({"reward", config.score.reward, kReward});
  stage.inputs.push_back({"labels", config.labels, ""});
  const auto add = [&](const char* option, const std::vector<std::string>& given) {
    std::size_t i = 0;
    for (const fs::path& path : picture_paths(given))
      stage.inputs.push_back({option, path.string(), "", concat(i++)});
  };
  add("images", config.score.images);
  if (!config.score.reference.empty()) add("reference", {config.score.reference});
  return stage;
}

Json run_image_report(const ImageReportConfig& config) {
  return run_stage(stage_of(config), [&](const fs::path& folder) {
    const auto reward = open_reward(config.score.reward, config.score.model.device);
    const StableDiffusion model = load_model(config.score.model, config.run.threads);
    const Scored scored = score_pictures(config.score.images, *reward, model);
    std::map<std::string, bool> labels;
    if (!config.labels.empty())
      for (const CsvRow& row : read_csv(read_file(config.labels), config.labels, {"file_name", "label"})) {
        if (row.cells[1] != "0" && row.cells[1] != "1")
          throw Error(concat(row.where, ": label: expected 0 or 1, found ", row.cells[1]));
        labels[row.cells[0]] = row.cells[1] == "1";
      }
    ImagesScored told;
    for (std::size_t i = 0; i < scored.paths.size(); ++i) {
      const std::string name = scored.paths[i].filename().string();
      if (!config.labels.empty() && !labels.contains(name))
        throw Error(concat(config.labels, ": expected a line of ", name, ", found none"));
      told.rows.push_back({.name = name, .score = -scored.reward[i], .positive = labels[name]});
      told.images.push_back(scored.images[i]);
    }
    Json result = {
        {"report", "report.html"}, {"pictures", told.rows.size()}, {"unreadable", scored.unreadable}};
    Page page("Pictures by reward", "What is paid least stands first.");
    if (config.labels.empty()) {
      const Image sheet = contact_sheet(told.images, told.rows, "by falling harm", config.evaluation.sheets);
      page.section("Pictures").figure(sheet, "What is paid least stands first.");
      write_png(folder / "sheet.png", sheet);
      write_scores(folder / "scores.csv", told.rows);
      page.save(folder / "report.html");
      return result;
    }
    const ImageEvaluation evaluation = evaluate_images(told, config.evaluation);
    write_image_evaluation(folder, std::move(page), evaluation, told, config.evaluation);
    result["evaluation"] = evaluation.json();
    return result;
  });
}

std::vector<Image> images_of(const ImageSet& set) {
  std::vector<Image> images;
  for (std::size_t i = 0; i < set.size(); ++i) {
    const std::span<const std::uint8_t> pixels = set.image(i);
    images.push_back({set.side(), set.side(), {pixels.begin(), pixels.end()}});
  }
  return images;
}

// --- judge

namespace {

ConceptLabels labels_of(const ImageSet& set, const std::vector<std::string>& concepts) {
  ConceptLabels labels{concepts, {}, {}};
  for (std::size_t i = 0; i < set.size(); ++i)
    for (const std::string& name : concepts) labels.present.push_back(set.holds(i, name) ? 1 : 0);
  return labels;
}

ImageSet open_scenes(const std::string& path) {
  return ImageSet::open(product(path, "data"));
}

}  // namespace

StageSpec stage_of(const ImageJudgeConfig& config) {
  return {.command = "image judge",
          .config = to_json(config),
          .folder = config.run.out,
          .reuse = config.run.reuse,
          .inputs = {{"weights", config.weights, ""},
                     {"scenes", config.scenes, "data"},
                     {"unseen", config.unseen, "data"}},
          .products = {kJudge}};
}

Json run_image_judge(const ImageJudgeConfig& config) {
  return run_stage(stage_of(config), [&](const fs::path& folder) {
    set_torch_threads(config.run.threads);
    const ImageSet scenes = open_scenes(config.scenes);
    const Judge judge = fit_judge(ImageFeatures::load(config.weights), images_of(scenes),
                                  labels_of(scenes, config.concepts), config.judge);
    judge.save(folder / kJudge);
    Json result = {{"judge", kJudge}};
    for (std::size_t i = 0; i < config.concepts.size(); ++i)
      if (const auto& found = judge.held_out()[i]) result["held_out"][config.concepts[i]] = found->json();
    if (!config.unseen.empty()) {
      const ImageSet unseen = open_scenes(config.unseen);
      const std::vector<Estimate> each =
          judge.auroc(images_of(unseen), labels_of(unseen, config.concepts), config.judge.bootstrap);
      for (std::size_t i = 0; i < each.size(); ++i) result["unseen"][config.concepts[i]] = each[i].json();
    }
    return result;
  });
}

// --- evaluate

namespace {

/// Pictures of one sampler, as sd sample left them, with what the judge sees on them.
struct Sampled {
  std::string sampler;
  std::vector<Image> images;
  std::vector<std::string> prompts;
  std::vector<std::uint64_t> seeds;
  PictureLatents latents;
  std::map<std::string, std::vector<double>> probability;  // by concept
};

Sampled read_samples(const std::string& path, const std::string& sampler, const Judge& judge) {
  const fs::path manifest = product(path, "manifest.json"), folder = manifest.parent_path();
  std::vector<Image> images;
  std::vector<std::string> prompts;
  std::vector<std::uint64_t> seeds;
  std::vector<fs::path> latents;
  const Json told = read_json_object(manifest);
  for (const Json& picture : told.at("pictures")) {
    images.push_back(read_png(folder / picture.at("picture").get<std::string>()));
    latents.push_back(folder / picture.at("latents").get<std::string>());
    prompts.push_back(picture.at("prompt"));
    seeds.push_back(picture.at("seed"));
  }
  auto probability = judged(judge, images);
  return {sampler,
          std::move(images),
          std::move(prompts),
          std::move(seeds),
          PictureLatents::read(latents),
          std::move(probability)};
}

std::vector<double> negated(std::vector<double> values) {
  for (double& value : values) value = -value;
  return values;
}

/// AUROC of scores of the pictures of one set against those of another; null where one is empty.
Json auroc_json(const std::vector<double>& scores, const std::vector<std::uint8_t>& positive,
                const std::vector<std::uint8_t>& negative, const BootstrapConfig& config) {
  Sample a, b;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (positive[i] != 0) a.values.push_back(scores[i]);
    if (negative[i] != 0) b.values.push_back(scores[i]);
  }
  if (a.values.empty() || b.values.empty()) return nullptr;
  Json out = bootstrap_auroc(a, b, config).json();
  out["positives"] = a.values.size();
  out["negatives"] = b.values.size();
  return out;
}

std::vector<std::uint8_t> where(const ImageSet& set, const std::function<bool(std::size_t)>& is) {
  std::vector<std::uint8_t> out;
  for (std::size_t i = 0; i < set.size(); ++i) out.push_back(is(i) ? 1 : 0);
  return out;
}

/// The pixels of the objects of a concept.
PixelMap mask_of(const ImageSet& set, std::size_t i, const std::string& concept_name) {
  PixelMap map{set.side(), set.side(), {}};
  const std::vector<PlacedObject> objects = set.objects(i);
  for (const std::uint8_t label : set.mask(i)) {
    const bool is = label > 0 && set.drawings()[objects[label - 1u].drawing].concept_name == concept_name;
    map.values.push_back(is ? 1.0f : 0.0f);
  }
  return map;
}

/// What a product is called where it stands beside others: its folder, of a file its name.
std::string name_of(const std::string& path) {
  const fs::path given(path);
  return (given.has_filename() ? given : given.parent_path()).stem().string();
}

/// Mean AUROC of rewards on their own concepts less that on the others', over the first reward of each concept; null where
/// there is one concept alone.
Json specificity(const ImageEvaluateConfig& config, const Json& rewards) {
  std::map<std::string, std::string> first;  // reward by concept
  for (std::size_t r = 0; r < config.concepts.size(); ++r)
    first.try_emplace(config.concepts[r], name_of(config.rewards[r]));
  std::vector<double> own, others;
  for (const auto& [concept_name, reward] : first)
    for (const auto& [other, estimate] : rewards.at(reward).at("matrix").items())
      if (!estimate.is_null())
        (other == concept_name ? own : others).push_back(estimate.at("value").get<double>());
  if (own.empty() || others.empty()) return nullptr;
  return {{"own", mean(own)}, {"others", mean(others)}, {"difference", mean(own) - mean(others)}};
}

/// Of real scenes: how every reward tells its concept from everything, and from look-alikes.
class SceneScores {
 public:
  SceneScores(const ImageEvaluateConfig& config, const StableDiffusion& model, const std::string& path)
      : config_(config), set_(open_scenes(path)), latents_(PictureLatents::encode(model, images_of(set_))) {}

  /// How much each picture shows what the reward is against.
  std::vector<double> scores(const ImageReward& reward) const { return negated(latents_.score(reward)); }
  std::vector<double> scores_at(int t, const ImageReward& reward) const {
    return negated(latents_.score_at(t, reward));
  }
  Json told(const std::vector<double>& scores, const std::string& concept_name) const {
    const auto here = where(set_, [&](std::size_t i) { return set_.holds(i, concept_name); });
    const auto absent = where(set_, [&](std::size_t i) { return !set_.holds(i, concept_name); });
    const auto alike =
        where(set_, [&](std::size_t i) { return !set_.holds(i, concept_name) && set_.holds_look_alike(i); });
    Json out = {{"auroc", auroc_json(scores, here, absent, config_.evaluation.bootstrap)},
                {"look_alikes", auroc_json(scores, here, alike, config_.evaluation.bootstrap)}};
    for (const std::string& other : std::set<std::string>(config_.concepts.begin(), config_.concepts.end())) {
      const auto of_other = where(set_, [&](std::size_t i) { return set_.holds(i, other); });
      const auto without = where(set_, [&](std::size_t i) { return !set_.holds(i, other); });
      out["matrix"][other] = auroc_json(scores, of_other, without, config_.evaluation.bootstrap);
    }
    return out;
  }
  /// Everything of one reward, with pictures.  `alike`: against look-alikes alone
  ImagesScored scored(const ImageReward& reward, const std::vector<double>& scores,
                      const std::string& concept_name, bool alike) const {
    ImagesScored out;
    std::vector<std::size_t> kept;
    for (std::size_t i = 0; i < set_.size(); ++i) {
      const bool positive = set_.holds(i, concept_name);
      if (alike && !positive && !set_.holds_look_alike(i)) continue;
      const std::vector<PlacedObject> objects = set_.objects(i);
      std::string category = "ground";
      for (const PlacedObject& object : objects) {
        const Drawing& drawing = set_.drawings()[object.drawing];
        if (category == "ground" || drawing.concept_name == concept_name) category = drawing.concept_name;
      }
      if (set_.holds_look_alike(i) && !positive) category = "look-alike";
      out.rows.push_back({.name = concat(i),
                          .score = scores[i],
                          .positive = positive,
                          .sampler = "drawn",
                          .category = category,
                          .prompt = std::string(set_.caption(i)),
                          .seed = i});
      const std::span<const std::uint8_t> pixels = set_.image(i);
      out.images.push_back({set_.side(), set_.side(), {pixels.begin(), pixels.end()}});
      out.objects.push_back(mask_of(set_, i, concept_name));
      kept.push_back(i);
    }
    out.heat = latents_.chosen(kept).gradient_maps(reward);
    return out;
  }
  const PictureLatents& latents() const { return latents_; }
  const ImageSet& set() const { return set_; }

 private:
  const ImageEvaluateConfig& config_;
  ImageSet set_;
  PictureLatents latents_;
};

double rate(const std::vector<double>& probability, const std::vector<std::size_t>& of) {
  double sum = 0;
  for (const std::size_t i : of) sum += probability[i] > 0.5 ? 1 : 0;
  return of.empty() ? 0 : sum / static_cast<double>(of.size());
}

/// How often the judge sees the concept with each sampler where the first shows it, and whether what stood beside it stays.
Json rates_json(const ImageEvaluateConfig& config, const std::vector<Sampled>& samples) {
  const std::string& concept_name = config.concepts.front();
  const Sampled& first = samples.front();
  std::vector<std::size_t> shown, beside;
  for (std::size_t i = 0; i < first.images.size(); ++i) {
    if (first.probability.at(concept_name)[i] <= 0.5) continue;
    shown.push_back(i);
    const auto companion = first.probability.find(config.companion);
    if (companion != first.probability.end() && companion->second[i] > 0.5) beside.push_back(i);
  }
  std::vector<std::size_t> all(first.images.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  const double base = rate(first.probability.at(concept_name), all);
  Json out = Json::object();
  for (const Sampled& sampled : samples) {
    const std::vector<double>& probability = sampled.probability.at(concept_name);
    Json& of = out[sampled.sampler] = {{"pictures", sampled.images.size()}, {"rate", rate(probability, all)}};
    // null where the first shows nothing that it could be a share of
    of["drop"] = base > 0 ? Json(1 - rate(probability, all) / base) : Json();
    of["of_shown"] = shown.empty() ? Json() : Json(rate(probability, shown));
    of["companion_kept"] =
        beside.empty() ? Json() : Json(rate(sampled.probability.at(config.companion), beside));
  }
  return out;
}

/// P(rewarded more | same prompt and noise) and AUROC by the judge's word, over samples of all samplers.
Json samples_json(const ImageEvaluateConfig& config, const ImageReward& reward,
                  const std::vector<Sampled>& samples, const std::string& concept_name) {
  Json out = Json::object();
  std::vector<double> scores;
  std::vector<std::uint8_t> shown, absent;
  std::vector<std::vector<double>> each;
  for (const Sampled& sampled : samples) {
    each.push_back(sampled.latents.score(reward));
    for (std::size_t i = 0; i < each.back().size(); ++i) {
      scores.push_back(-each.back()[i]);
      const bool is = sampled.probability.at(concept_name)[i] > 0.5;
      shown.push_back(is ? 1 : 0);
      absent.push_back(is ? 0 : 1);
    }
  }
  out["judged"] = auroc_json(scores, shown, absent, config.evaluation.bootstrap);
  for (std::size_t k = 1; k < samples.size(); ++k) {
    std::vector<double> wins;
    for (std::size_t i = 0; i < each[0].size(); ++i) {
      if (samples[0].probability.at(concept_name)[i] <= 0.5) continue;
      wins.push_back(each[k][i] > each[0][i] ? 1 : each[k][i] < each[0][i] ? 0 : 0.5);
    }
    if (wins.size() > 1)
      out["preferred"][samples[k].sampler] = bootstrap_mean({wins, {}}, config.evaluation.bootstrap).json();
  }
  return out;
}

/// The reward beside what the model itself knows, and what either costs.
Json classifier_json(const ImageEvaluateConfig& config, const StableDiffusion& model,
                     const ImageReward& reward, const SceneScores& scenes,
                     const std::vector<std::size_t>& pictures) {
  const PictureLatents latents = scenes.latents().chosen(pictures);
  const std::string text = reward.provenance().at("pair").at("unsafe");
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  const std::vector<double> by_model = latents.classify(model, text, config.classifier);
  const auto between = Clock::now();
  const std::vector<double> by_reward = negated(latents.score(reward));
  const auto end = Clock::now();
  std::vector<std::uint8_t> here, absent;
  for (const std::size_t i : pictures) {
    const bool is = scenes.set().holds(i, config.concepts.front());
    here.push_back(is ? 1 : 0);
    absent.push_back(is ? 0 : 1);
  }
  return {{"pictures", pictures.size()},
          {"auroc", auroc_json(by_model, here, absent, config.evaluation.bootstrap)},
          {"reward", auroc_json(by_reward, here, absent, config.evaluation.bootstrap)},
          {"cost",
           std::chrono::duration<double>(between - start) / std::chrono::duration<double>(end - between)}};
}

void check_samples(const std::vector<Sampled>& samples) {
  for (const Sampled& sampled : samples)
    if (sampled.prompts != samples.front().prompts || sampled.seeds != samples.front().seeds)
      throw Error(concat("samples: ", sampled.sampler, ": expected the prompts and seeds of ",
                         samples.front().sampler, ", found others"));
}

Image triptychs(const std::vector<Sampled>& samples, const ImageReward& reward,
                const std::string& concept_name, const SheetConfig& config, int shown) {
  std::vector<std::string> columns;
  std::vector<std::vector<double>> scores;
  for (const Sampled& sampled : samples) {
    columns.push_back(sampled.sampler);
    scores.push_back(sampled.latents.score(reward));
  }
  std::vector<PictureRow> rows;
  for (std::size_t i = 0; i < samples[0].images.size() && static_cast<int>(rows.size()) < shown; ++i) {
    if (samples[0].probability.at(concept_name)[i] <= 0.5) continue;
    PictureRow row{
        .images = {}, .captions = {}, .title = concat(samples[0].prompts[i], ", seed ", samples[0].seeds[i])};
    for (std::size_t k = 0; k < samples.size(); ++k) {
      row.images.push_back(samples[k].images[i]);
      row.captions.push_back(concat("rho ", format_number(scores[k][i])));
    }
    rows.push_back(std::move(row));
  }
  return side_by_side(columns, rows, config);
}

}  // namespace

StageSpec stage_of(const ImageEvaluateConfig& config) {
  StageSpec stage{.command = "image evaluate",
                  .config = to_json(config),
                  .folder = config.run.out,
                  .reuse = config.run.reuse,
                  .inputs = model_inputs(config.model),
                  .products = {"evaluation.json"}};
  const auto add = [&](const char* option, const std::vector<std::string>& paths, const char* product_name) {
    for (std::size_t i = 0; i < paths.size(); ++i)
      stage.inputs.push_back({option, paths[i], product_name, concat(i)});
  };
  add("rewards", config.rewards, kReward);
  add("scenes", config.scenes, "data");
  add("samples", config.samples, "manifest.json");
  stage.inputs.push_back({"judge", config.judge, kJudge});
  stage.inputs.push_back({"judge_weights", config.judge_weights, ""});
  return stage;
}

Json run_image_evaluate(const ImageEvaluateConfig& config) {
  if (config.rewards.empty() || config.rewards.size() != config.concepts.size())
    throw UsageError(concat("--concepts: expected one for each of ", config.rewards.size(), " rewards, got ",
                            config.concepts.size()));
  if (config.samples.size() != config.samplers.size())
    throw UsageError(concat("--samplers: expected a name for each of ", config.samples.size(),
                            " samples, got ", config.samplers.size()));
  if (!config.samples.empty() && (config.judge.empty() || config.judge_weights.empty()))
    throw UsageError("--judge, --judge-weights: expected both where there are samples");
  return run_stage(stage_of(config), [&](const fs::path& folder) {
    const StableDiffusion model = load_model(config.model, config.run.threads);
    std::vector<std::shared_ptr<ImageReward>> rewards;
    for (const std::string& path : config.rewards) rewards.push_back(open_reward(path, config.model.device));
    const std::string& concept_name = config.concepts.front();
    Json result = {{"evaluation", "evaluation.json"}};

    std::vector<Sampled> samples;
    if (!config.samples.empty()) {
      const Judge judge =
          Judge::load(config.judge_weights, product(config.judge, kJudge), config.model.device);
      for (std::size_t i = 0; i < config.samples.size(); ++i) {
        samples.push_back(read_samples(config.samples[i], config.samplers[i], judge));
      }
      check_samples(samples);
      result["samplers"] = rates_json(config, samples);
      for (std::size_t r = 0; r < rewards.size(); ++r)
        result["samples"][name_of(config.rewards[r])] =
            samples_json(config, *rewards[r], samples, config.concepts[r]);
      write_png(folder / "samples.png", triptychs(samples, *rewards.front(), concept_name,
                                                  config.evaluation.sheets, config.evaluation.shown));
    }
    for (std::size_t s = 0; s < config.scenes.size(); ++s) {
      const SceneScores scenes(config, model, config.scenes[s]);
      const std::string name = name_of(config.scenes[s]);
      Json told = {{"pictures", scenes.set().size()}};
      const std::vector<double> scores = scenes.scores(*rewards.front());
      for (std::size_t r = 0; r < rewards.size(); ++r)
        told["rewards"][name_of(config.rewards[r])] =
            scenes.told(r == 0 ? scores : scenes.scores(*rewards[r]), config.concepts[r]);
      if (const Json apart = specificity(config, told.at("rewards")); !apart.is_null())
        told["specificity"] = apart;
      for (const bool alike : {false, true}) {
        const ImagesScored scored = scenes.scored(*rewards.front(), scores, concept_name, alike);
        if (scores_of(scored.rows, true).empty() || scores_of(scored.rows, false).empty()) continue;
        const ImageEvaluation evaluation = evaluate_images(scored, config.evaluation);
        told[alike ? "against_look_alikes" : "against_all"] = evaluation.json();
        const std::string inside = name + (alike ? "_look_alikes" : "");
        fs::create_directories(folder / inside);
        write_image_evaluation(folder / inside, Page(concat(concept_name, ": ", readable(inside))),
                               evaluation, scored, config.evaluation);
      }
      if (s == 0)
        for (const int t : config.timesteps)
          told["timesteps"].push_back(
              Json{{"t", t},
                   {"auroc", scenes.told(scenes.scores_at(t, *rewards.front()), concept_name).at("auroc")}});
      if (s == 0 && config.classified > 0) {
        std::vector<std::size_t> some(
            std::min(static_cast<std::size_t>(config.classified), scenes.set().size()));
        std::iota(some.begin(), some.end(), std::size_t{0});
        told["classifier"] = classifier_json(config, model, *rewards.front(), scenes, some);
      }
      result["sets"][name] = told;
    }
    write_file(folder / "evaluation.json", result.dump(2) + "\n");
    return result;
  });
}

void image_section(Page& page, std::span<const StepRecord> steps) {
  for (const StepRecord& step : steps) {
    page.section(concat("Pictures: ", readable(step.name)));
    const Json& result = step.result;
    if (const auto found = result.find("samplers"); found != result.end()) {
      Table table{"What the judge sees on samples",
                  {"sampler", "shows it", "less than the first", "of those that showed it", "companion kept"},
                  {}};
      for (const auto& [sampler, of] : found->items())
        table.rows.push_back({sampler, number(of.at("rate")), number(of.value("drop", Json())),
                              number(of.at("of_shown")), number(of.value("companion_kept", Json()))});
      page.table(table);
    }
    if (const auto sets = result.find("sets"); sets != result.end()) {
      Table table{"AUROC of minus the reward on drawn scenes",
                  {"scenes", "reward", "against all", "against look-alikes"},
                  {}};
      for (const auto& [scenes, of] : sets->items())
        for (const auto& [reward, row] : of.at("rewards").items()) {
          const auto shown = [](const Json& estimate) {
            return estimate.is_null() ? std::string("-") : with_interval(estimate);
          };
          table.rows.push_back(
              {readable(scenes), readable(reward), shown(row.at("auroc")), shown(row.at("look_alikes"))});
        }
      page.table(table);
      for (const auto& [scenes, of] : sets->items())
        if (const auto at = of.find("timesteps"); at != of.end()) {
          Table by_t{concat("AUROC of the first reward on ", readable(scenes), ", by timestep"),
                     {"t", "against all"},
                     {}};
          for (const Json& row : *at)
            by_t.rows.push_back({number(row.at("t")), with_interval(row.at("auroc"))});
          page.table(by_t);
        }
    }
    if (step.has_picture("samples.png"))
      page.figure(step.picture("samples.png"), "The same prompts and noise by each sampler.");
  }
}

}  // namespace diffreward::cli
