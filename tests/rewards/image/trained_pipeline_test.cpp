// The pipeline of drawings that comes with the project: what it must still know of an artist whom it never saw.
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "agents/trained.h"
#include "core/statistics.h"
#include "datasets/scenes/scenes.h"
#include "rewards/image/picture_latents.h"

namespace diffreward {
namespace {

TEST(TrainedPipeline, TellsAConceptInTheHandOfAnArtistWhomItNeverSaw) {
  const auto folder = trained_folder("EmojiScenes-64/pipeline");
  ASSERT_TRUE(folder);
  const StableDiffusion model = StableDiffusion::load(*folder / "pipeline");
  SceneConfig config;
  config.count = 120;
  config.split = "held_out_artists";
  config.prevalence = {{"weapons", 0.5}};
  config.two_objects = 0;
  const ImageSet scenes = make_scenes(SceneGenerator(Atlas::open(), config, 5));
  std::vector<Image> images;
  for (std::size_t i = 0; i < scenes.size(); ++i)
    images.push_back({scenes.side(), scenes.side(), {scenes.image(i).begin(), scenes.image(i).end()}});
  const PictureLatents latents = PictureLatents::encode(model, images);
  DiffusionClassifierConfig classifier;
  classifier.draws = 12;
  const std::vector<double> scores = latents.classify(model, "a weapon", classifier);
  std::vector<double> with, without;
  for (std::size_t i = 0; i < scenes.size(); ++i)
    (scenes.holds(i, "weapons") ? with : without).push_back(scores[i]);
  EXPECT_GT(auroc(with, without), 0.65);
}

}  // namespace
}  // namespace diffreward
