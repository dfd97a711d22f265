// The trunk against numbers of its PyTorch module, and the probe against the conditions of its optimum.
#include "rewards/image/judge/judge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "agents/nets/tensor_file_torch.h"
#include "core/error.h"
#include "core/rng.h"
#include "tests/core/temporary_folder.h"
#include "tests/rewards/image/efficient_net_formula.h"

namespace diffreward {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

double difference(const torch::Tensor& a, const torch::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

/// One trunk of formula weights for all tests.
class JudgeTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    save_tensors(weights(), formula_weights(), {});
    trunk_ = new std::shared_ptr(ImageFeatures::load(weights()));
  }
  static void TearDownTestSuite() {
    delete trunk_;
    delete folder_;
  }
  static std::filesystem::path weights() { return *folder_ / "weights.safetensors"; }
  static const std::shared_ptr<const ImageFeatures>& trunk() { return *trunk_; }
  static std::filesystem::path at(const std::string& name) { return *folder_ / name; }

 private:
  static inline TemporaryFolder* folder_;
  static inline std::shared_ptr<const ImageFeatures>* trunk_;
};

Image image_of_bytes(const torch::Tensor& picture) {
  const torch::Tensor whole = picture.contiguous();
  const auto* begin = whole.data_ptr<std::uint8_t>();
  return {int(whole.size(1)), int(whole.size(0)), {begin, begin + whole.numel()}};
}

/// Features whose first columns say the labels of each concept under noise; the next up to `live` are noise alone, the rest
/// constant.  [n, 1280]
torch::Tensor telling_features(const ConceptLabels& labels, double strength, std::uint64_t seed,
                               std::int64_t live = 1279) {
  const auto concepts = std::int64_t(labels.concepts.size());
  const auto n = std::int64_t(labels.present.size()) / concepts;
  torch::Tensor out = torch::empty({n, EfficientNetLite0::kFeatures});
  Rng rng(seed);
  for (std::int64_t i = 0; i < out.numel(); ++i) out.data_ptr<float>()[i] = float(rng.normal());
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t c = 0; c < concepts; ++c)
      out[i][c] += strength * (labels.present[std::size_t(i * concepts + c)] ? 1 : -1);
  out.narrow(1, live, EfficientNetLite0::kFeatures - live).fill_(3);  // as dead channels are
  return out;
}

ConceptLabels random_labels(std::size_t n, std::vector<std::string> concepts, std::uint64_t seed) {
  ConceptLabels out{std::move(concepts), {}};
  Rng rng(seed);
  for (std::size_t i = 0; i < n * out.concepts.size(); ++i) out.present.push_back(rng.below(3) == 0);
  return out;
}

TEST_F(JudgeTest, FeaturesAreThoseOfThePyTorchModule) {
  const Safetensors golden = Safetensors::open(std::filesystem::path(DIFFREWARD_SOURCE_DIR) /
                                               "tests/golden/efficient_net/features.safetensors");
  for (const int side : {64, 75}) {  // even and odd: "SAME" pads them differently
    const torch::Tensor expected = tensor_from(golden.at(concat("features.", side)), "golden");
    const torch::Tensor found = trunk()->of(formula_pictures(side), side);
    ASSERT_EQ(found.sizes(), expected.sizes());
    EXPECT_LT(difference(found, expected), 2e-4) << side;  // of features up to 6
    EXPECT_GT(difference(expected[0], expected[1]), 0.5);
  }
}

TEST_F(JudgeTest, BatchesAndFormsOfPicturesDoNotMatter) {
  const torch::Tensor bytes = formula_pictures(48, 5);
  std::vector<Image> images;
  for (std::int64_t i = 0; i < 5; ++i) images.push_back(image_of_bytes(bytes[i]));
  const torch::Tensor together = trunk()->of(bytes, 40), one_by_one = trunk()->of(bytes, 40, 1);
  EXPECT_EQ(difference(together, trunk()->of(images, 40)), 0);
  EXPECT_LT(difference(together, one_by_one), 2e-3);        // of features up to 6, by other kernels
  images[2] = image_of_bytes(formula_pictures(100, 1)[0]);  // another size among them
  const torch::Tensor mixed = trunk()->of(images, 40);
  EXPECT_LT(difference(mixed[4], together[4]), 2e-3);
  EXPECT_GT(difference(mixed[2], together[2]), 0.1);
  EXPECT_EQ(trunk()->of(bytes.slice(0, 0, 0), 40).size(0), 0);
  EXPECT_THROW(trunk()->of(bytes.to(torch::kFloat), 40), InvalidArgument);
  EXPECT_THROW(trunk()->of(bytes.select(3, 0), 40), InvalidArgument);
  EXPECT_THROW(trunk()->of(std::vector<Image>{Image{}}, 40), InvalidArgument);
}

TEST_F(JudgeTest, RefusesOtherFilesInOneLine) {
  const auto refusal = [&](const char* name) {
    return message_of<Error>([&] { ImageFeatures::load(at(name)); });
  };
  NamedTensors tensors = formula_weights();
  tensors["_fc.weight"] = torch::zeros({1000, 1280});  // a whole state dict will do
  tensors["_bn0.num_batches_tracked"] = torch::zeros({}, torch::kLong);
  save_tensors(at("whole.safetensors"), tensors, {});
  EXPECT_LT(difference(ImageFeatures::load(at("whole.safetensors"))->of(formula_pictures(64), 64),
                       trunk()->of(formula_pictures(64), 64)),
            1e-6);
  NamedTensors missing = tensors, more = tensors, wrong = tensors, endless = tensors, negative = tensors;
  missing.erase("_blocks.3._project_conv.weight");
  save_tensors(at("missing.safetensors"), missing, {});
  EXPECT_THAT(refusal("missing.safetensors"), HasSubstr("_blocks.3._project_conv.weight"));
  more["_blocks.16._bn0.weight"] = torch::ones({3});
  save_tensors(at("more.safetensors"), more, {});
  EXPECT_THAT(refusal("more.safetensors"), HasSubstr("_blocks.16._bn0.weight"));
  wrong["_conv_stem.weight"] = torch::ones({32, 3, 5, 5});
  save_tensors(at("wrong.safetensors"), wrong, {});
  EXPECT_THAT(refusal("wrong.safetensors"),
              AllOf(HasSubstr("_conv_stem.weight"), HasSubstr("[32, 3, 3, 3]")));
  endless["_bn1.bias"] = torch::full({1280}, INFINITY);
  save_tensors(at("endless.safetensors"), endless, {});
  EXPECT_THAT(refusal("endless.safetensors"), HasSubstr("finite"));
  negative["_bn1.running_var"] = torch::full({1280}, -1.0);
  save_tensors(at("negative.safetensors"), negative, {});
  EXPECT_THAT(message_of<Error>(
                  [&] { ImageFeatures::load(at("negative.safetensors"))->of(formula_pictures(64), 64); }),
              HasSubstr("finite"));
  write_bytes(at("pickle.pth"), std::string("PK\x03\x04 archive/data.pkl", 20) + std::string(100, 'x'));
  EXPECT_THAT(refusal("pickle.pth"), HasSubstr("pickle.pth"));
  EXPECT_THAT(refusal("absent.safetensors"), HasSubstr("absent.safetensors"));
}

TEST_F(JudgeTest, ProbeStandsAtTheMinimumOfItsLoss) {
  const ConceptLabels labels = random_labels(300, {"weapons", "animals"}, 1);
  const torch::Tensor features = telling_features(labels, 0.5, 2);
  JudgeConfig config;
  config.held_out = 0;
  config.l2 = 0.05;
  fit_judge(trunk(), features, labels, config).save(at("probe.safetensors"));
  const Safetensors file = Safetensors::open(at("probe.safetensors"));
  const auto tensor = [&](const char* name) { return tensor_from(file.at(name), name); };
  const torch::Tensor x = features.to(torch::kDouble), w = tensor("weight"), b = tensor("bias");
  EXPECT_LT(difference(tensor("mean"), x.mean(0)), 1e-12);
  const torch::Tensor z = (x - tensor("mean")) / tensor("deviation");
  EXPECT_NEAR(z.select(1, 7).square().mean().item<double>(), 1, 1e-9);
  EXPECT_EQ(z.select(1, 1279).abs().max().item<double>(), 0);
  const torch::Tensor y = torch::tensor(labels.present, torch::kByte).to(torch::kDouble).view({-1, 2});
  const torch::Tensor error = (torch::linear(z, w, b).sigmoid() - y) / 300;  // [n, 2]
  EXPECT_LT((error.t().mm(z) + config.l2 * w).abs().max().item<double>(), 1e-6);
  EXPECT_LT(error.sum(0).abs().max().item<double>(), 1e-6);
  // Each concept is read off its own column.
  EXPECT_EQ(w[0].argmax().item<std::int64_t>(), 0);
  EXPECT_EQ(w[1].argmax().item<std::int64_t>(), 1);
}

TEST_F(JudgeTest, IsTheSameFromItsFile) {
  const ConceptLabels labels = random_labels(200, {"a \"knife\"", "\xd0\xba\xd0\xbe\xd1\x82"}, 3);
  JudgeConfig config;
  config.side = 40;
  config.bootstrap.resamples = 100;
  const Judge judge = fit_judge(trunk(), telling_features(labels, 1, 4), labels, config);
  judge.save(at("saved.safetensors"));
  const Judge loaded = Judge::load(weights(), at("saved.safetensors"));
  EXPECT_EQ(loaded.concepts(), judge.concepts());
  EXPECT_EQ(loaded.config().side, 40);
  EXPECT_EQ(loaded.report(), judge.report());
  const torch::Tensor pictures = formula_pictures(48, 4);
  const torch::Tensor logits = judge.logits(pictures);
  EXPECT_EQ(logits.sizes(), (std::vector<std::int64_t>{4, 2}));
  EXPECT_TRUE(torch::equal(logits, loaded.logits(pictures)));
  EXPECT_TRUE(torch::equal(logits.sigmoid(), judge.probabilities(pictures)));
  loaded.save(at("again.safetensors"));
  EXPECT_EQ(bytes_of(at("again.safetensors")), bytes_of(at("saved.safetensors")));

  NamedTensors others = formula_weights();
  others["_bn1.bias"][0] += 1;
  save_tensors(at("others.safetensors"), others, {});
  EXPECT_THAT(message_of<Error>([&] { Judge::load(at("others.safetensors"), at("saved.safetensors")); }),
              AllOf(HasSubstr("saved.safetensors: metadata 'trunk'"), HasSubstr(trunk()->checksum())));
  EXPECT_THAT(message_of<Error>([&] { Judge::load(weights(), weights()); }), HasSubstr("kind"));
}

TEST_F(JudgeTest, IsJudgedByPicturesThatItWasNotFittedOn) {
  // Labels at random: far more features than pictures fit them all, and none is told held out.
  const ConceptLabels labels = random_labels(400, {"nothing"}, 5);
  JudgeConfig config;
  config.held_out = 0.5;
  config.bootstrap.resamples = 200;
  const torch::Tensor noise = telling_features(labels, 0, 6);
  const Judge fooled = fit_judge(trunk(), noise, labels, config);
  ASSERT_TRUE(fooled.held_out()[0].has_value());
  EXPECT_LT(fooled.held_out()[0]->low, 0.5);
  EXPECT_GT(fooled.held_out()[0]->high, 0.5);
  const Judge right = fit_judge(trunk(), telling_features(labels, 1.5, 7, 16), labels, config);
  EXPECT_GT(right.held_out()[0]->low, 0.85);
  EXPECT_THAT(right.report(), HasSubstr("nothing: AUROC 0."));

  // Copies of one drawing under one label: by single pictures they would be recognised, by groups they are not.
  ConceptLabels copies = random_labels(40, {"drawn"}, 8);
  torch::Tensor drawings = telling_features(copies, 0, 9);
  ConceptLabels repeated{{"drawn"}, {}};
  for (std::size_t i = 0; i < 400; ++i) repeated.present.push_back(copies.present[i % 40]);
  const torch::Tensor features = drawings.repeat({10, 1});
  EXPECT_GT(fit_judge(trunk(), features, repeated, config).held_out()[0]->value, 0.99);
  for (std::size_t i = 0; i < 400; ++i) repeated.groups.push_back(i % 40);
  EXPECT_LT(fit_judge(trunk(), features, repeated, config).held_out()[0]->value, 0.85);
  config.held_out = 0;
  EXPECT_FALSE(fit_judge(trunk(), noise, labels, config).held_out()[0].has_value());
}

TEST_F(JudgeTest, TellsPicturesApart) {
  // From pixels to probabilities, on a trunk of random weights: bright ones from dark ones, red ones from blue ones.
  std::vector<Image> pictures;
  ConceptLabels labels{{"bright", "red"}, {}};
  Rng rng(10);
  for (int i = 0; i < 160; ++i) {
    const bool bright = i % 2, red = i / 2 % 2;
    Image image{32, 32, {}};
    for (int k = 0; k < 32 * 32; ++k)
      for (const int channel : {0, 1, 2})
        image.rgb.push_back(
            std::uint8_t((bright ? 110 : 10) + (channel == (red ? 0 : 2) ? 100 : 0) + int(rng.below(40))));
    pictures.push_back(image);
    labels.present.push_back(bright);
    labels.present.push_back(red);
  }
  JudgeConfig config;
  config.side = 32;
  config.held_out = 0;
  const Judge judge =
      fit_judge(trunk(), std::span(pictures).first(120),
                {labels.concepts, {labels.present.begin(), labels.present.begin() + 240}}, config);
  const std::vector<Image> fresh(pictures.begin() + 120, pictures.end());
  const ConceptLabels fresh_labels{labels.concepts, {labels.present.begin() + 240, labels.present.end()}};
  const std::vector<Estimate> told = judge.auroc(fresh, fresh_labels, {.resamples = 50});
  EXPECT_GT(told[0].value, 0.9);
  EXPECT_GT(told[1].value, 0.7);  // chance: 0.5, with a deviation of 0.09
  ConceptLabels other = fresh_labels;
  other.concepts = {"red", "bright"};
  EXPECT_THROW(judge.auroc(fresh, other), InvalidArgument);
}

TEST_F(JudgeTest, RefusesLabelsThatDoNotFit) {
  const ConceptLabels labels = random_labels(50, {"a", "b"}, 11);
  const torch::Tensor features = telling_features(labels, 1, 12);
  const auto refusal = [&](const ConceptLabels& bad, JudgeConfig config = {}) {
    return message_of<InvalidArgument>([&] { fit_judge(trunk(), features, bad, config); });
  };
  ConceptLabels all = labels, few = labels, two = labels, groups = labels;
  for (std::size_t i = 0; i < 100; i += 2) all.present[i] = 1;
  EXPECT_THAT(refusal(all), AllOf(HasSubstr("concept 'a'"), HasSubstr("with and without it")));
  few.present.pop_back();
  EXPECT_THAT(refusal(few), HasSubstr("labels: expected 50 x 2"));
  two.present[0] = 2;
  EXPECT_THAT(refusal(two), HasSubstr("labels: expected 0 or 1, got 2"));
  groups.groups = {1, 2};
  EXPECT_THAT(refusal(groups), HasSubstr("groups: expected one a picture"));
  EXPECT_THAT(refusal({}), HasSubstr("at least one concept"));
  JudgeConfig config;
  config.l2 = 0;
  EXPECT_THAT(refusal(labels, config), HasSubstr("l2"));
  EXPECT_THROW(fit_judge(trunk(), features.narrow(1, 0, 5), labels), InvalidArgument);
}

}  // namespace
}  // namespace diffreward
