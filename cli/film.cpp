// diffreward film: recordings of robots, next to each other, as a film.
#include <algorithm>
#include <optional>

#include "cli/section.h"
#include "cli/stages.h"
#include "report/video.h"
#include "rewards/evaluate/robot_preference.h"

namespace diffreward::cli {
namespace {

constexpr const char *kFilm = "film.mp4", *kStrips = "strips.png";
constexpr int kStripFrames = 8;
constexpr double kSlowest = 4;  // frames a second, below which steps are not filmed one by one

/// One episode of a recording.
struct Scene {
  std::string name;
  Dataset data;
  Episode episode;
  RecordedRobot robot;
};

std::vector<Scene> scenes_of(const FilmConfig& config) {
  require(!config.data.empty(), "data: expected recordings, got none");
  require(config.names.empty() || config.names.size() == config.data.size(),
          "names: expected one for each of ", config.data.size(), " recordings, got ", config.names.size());
  std::vector<Scene> scenes;
  for (std::size_t i = 0; i < config.data.size(); ++i) {
    const Dataset data = open_data(config.data[i]);
    const auto wanted = static_cast<std::size_t>(config.episode);
    require(wanted < data.episodes().size(), "episode: expected one of ", data.episodes().size(), " of ",
            config.data[i], ", got ", config.episode);
    const std::filesystem::path folder = std::filesystem::path(config.data[i]).lexically_normal();
    scenes.push_back({config.names.empty() ? folder.filename().string() : config.names[i], data,
                      data.episodes()[wanted], RecordedRobot(data)});
  }
  return scenes;
}

}  // namespace

StageSpec stage_of(const FilmConfig& config) {
  StageSpec stage{.command = "film",
                  .config = to_json(config),
                  .folder = config.run.out,
                  .reuse = config.run.reuse,
                  .inputs = {},
                  .products = {kFilm, kStrips}};
  for (std::size_t i = 0; i < config.data.size(); ++i)
    stage.inputs.push_back({"data", config.data[i], "data", concat(i)});
  return stage;
}

Json run_film(const FilmConfig& config) {
  return run_stage(stage_of(config), [&](const std::filesystem::path& folder) {
    std::vector<Scene> scenes = scenes_of(config);
    std::size_t steps = 0;
    for (const Scene& scene : scenes) steps = std::max(steps, scene.episode.size());
    if (config.steps > 0) steps = std::min(steps, static_cast<std::size_t>(config.steps));
    const auto every = static_cast<std::size_t>(config.every);
    const double rate = std::max(kSlowest, 1 / (scenes[0].robot.spec().seconds_per_step * config.every));
    std::optional<Video> film;
    for (std::size_t step = 0; step < steps; step += every) {
      std::vector<Image> frames;
      for (Scene& scene : scenes) {  // the last frame of an episode stays
        scene.robot.place(scene.episode.begin + std::min(step, scene.episode.size() - 1));
        frames.push_back(captioned(scene.robot.render(config.width, config.width), scene.name));
      }
      const Image frame = beside(frames, 0);
      if (!film) film.emplace(folder / kFilm, frame.width, frame.height, rate);
      film->add(frame);
    }
    film->finish();
    std::vector<Image> strips;
    Json told = Json::array();
    for (const Scene& scene : scenes) {
      const Episode shown{scene.episode.begin, std::min(scene.episode.end, scene.episode.begin + steps),
                          false};
      strips.push_back(
          captioned(draw_filmstrip(scene.data, shown, kStripFrames, config.width / 2), scene.name));
      double task_return = 0;
      for (std::size_t row = scene.episode.begin; row < scene.episode.end; ++row)
        task_return += double{scene.data.rewards()[row]};
      told.push_back({{"name", scene.name}, {"steps", scene.episode.size()}, {"return", task_return}});
    }
    write_png(folder / kStrips, below(strips));
    return Json{{"film", kFilm}, {"strips", kStrips}, {"frames_per_second", rate}, {"episodes", told}};
  });
}

void film_section(Page& page, std::span<const StepRecord> steps) {
  for (const StepRecord& step : steps) {
    page.section(steps.size() == 1 ? "Side by side" : concat("Side by side: ", readable(step.name)))
        .text(concat("The film of these episodes: `", (step.folder.filename() / kFilm).string(), "`."))
        .figure(step.picture(kStrips), "Moments of the episodes, evenly apart, from left to right.");
  }
}

}  // namespace diffreward::cli
