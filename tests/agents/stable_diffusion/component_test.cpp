// What a folder may hold, and what is said where it holds something else.
#include "agents/stable_diffusion/component.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <functional>

#include "core/error.h"
#include "core/file.h"
#include "tests/agents/stable_diffusion/golden.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const char* const kUnet = "unet/diffusion_pytorch_model.safetensors";

/// A copy of pipeline a to be spoiled.
class Folder {
 public:
  Folder() { fs::copy(golden_folder("a"), path(), fs::copy_options::recursive); }
  fs::path path() const { return folder_.path() / "a"; }
  void edit(const std::string& file, const std::function<void(Json&)>& change) const {
    Json json = read_json_object(path() / file);
    change(json);
    write_file(path() / file, json.dump());
  }
  void edit_weights(const std::string& file, const std::function<void(NamedTensors&)>& change) const {
    NamedTensors tensors;
    {
      const Safetensors old = Safetensors::open(path() / file);
      for (const auto& [name, tensor] : old.tensors()) tensors[name] = tensor_from(tensor, name);
    }
    change(tensors);
    save_tensors(path() / file, tensors, {});
  }
  StableDiffusion load() const { return StableDiffusion::load(path()); }
  std::string refusal() const {
    return message_of<Error>([&] { load(); });
  }

 private:
  TemporaryFolder folder_;
};

TEST(StableDiffusionFolder, ReadsEveryLayout) {
  for (const char* name : {"a", "b", "d"}) {
    const StableDiffusion model = StableDiffusion::load(golden_folder(name));
    EXPECT_THAT(model.warnings(), IsEmpty()) << name;
    EXPECT_GT(model.parameters(), 100'000) << name;
  }
}

TEST(StableDiffusionFolder, LeavesWeightsInTheFileWhereTheTypeAllows) {
  const Safetensors file = open_weights(golden_folder("a") / kUnet);
  const auto inside = [&](torch::ScalarType type) {
    const Parameters values(file, "a", "", torch::kCPU, type);
    const Conv2d conv = [&] {
      Parameters parameters(file, "a", "", torch::kCPU, type);
      return Conv2d(parameters, "conv_in", 4, 16, 3, 1, 1);
    }();
    EXPECT_FALSE(conv.weight.requires_grad());
    return conv.weight.data_ptr() == static_cast<const void*>(file.at("conv_in.weight").bytes.data());
  };
  EXPECT_TRUE(inside(torch::kFloat));
  EXPECT_FALSE(inside(torch::kDouble));
}

TEST(StableDiffusionFolder, MapsOutliveTheirReader) {
  torch::Tensor values;
  {
    const Safetensors file = open_weights(golden_folder("a") / kUnet);
    values = tensor_from(file.at("conv_in.bias"), "bias", file.mapping());
  }
  EXPECT_TRUE(values.isfinite().all().item<bool>());
}

TEST(StableDiffusionFolder, CopiesWhatIsNotAligned) {
  const TemporaryFolder folder;
  const std::string header = R"({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})";  // 63 bytes
  const std::uint64_t length = header.size() | 1;
  const float numbers[2] = {1, -2};
  std::string text(reinterpret_cast<const char*>(&length), 8);
  text += header + std::string(length - header.size(), ' ') +
          std::string(reinterpret_cast<const char*>(numbers), 8);
  write_bytes(folder / "odd.safetensors", text);
  const Safetensors file = Safetensors::open(folder / "odd.safetensors");
  const torch::Tensor found = tensor_from(file.at("x"), "x", file.mapping());
  EXPECT_NE(found.data_ptr(), static_cast<const void*>(file.at("x").bytes.data()));
  EXPECT_TRUE(torch::equal(found, torch::tensor({1.f, -2.f})));
}

TEST(StableDiffusionFolder, WarnsOfUnknownKeysAndUsesTheRest) {
  const Folder folder;
  folder.edit("unet/config.json", [](Json& json) { json["warp_factor"] = 9; });
  folder.edit("scheduler/scheduler_config.json", [](Json& json) { json["clip_sample"] = true; });
  ::testing::internal::CaptureStderr();
  const StableDiffusion model = folder.load();
  const std::string told = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(model.warnings(), ElementsAre(HasSubstr("unet/config.json: warp_factor: an unknown key"),
                                            HasSubstr("clip_sample: false is taken")));
  EXPECT_THAT(told, HasSubstr("warning: " + model.warnings()[0] + "\n"));
}

struct Refused {
  std::string file, key;
  Json value;
  std::string says;
};

TEST(StableDiffusionFolder, RefusesUnsupportedValuesByName) {
  const std::string unet = "unet/config.json", vae = "vae/config.json", text = "text_encoder/config.json",
                    scheduler = "scheduler/scheduler_config.json", index = "model_index.json";
  for (const Refused& refused : std::vector<Refused>{
           {unet, "class_embed_type", "timestep", "class_embed_type: expected null"},
           {unet, "mid_block_type", nullptr, "mid_block_type: expected \"UNetMidBlock2DCrossAttn\""},
           {unet, "layers_per_block", {1, 2}, "layers_per_block: expected a whole number in [1, "},
           {unet, "layers_per_block", 0, "layers_per_block"},
           {unet, "block_out_channels", {16, 33}, "block_out_channels: expected multiples of the 8 groups"},
           {unet, "block_out_channels", Json::array(), "block_out_channels"},
           {unet, "block_out_channels", {16, 32, 32}, "down_block_types: expected 3"},
           {unet,
            "down_block_types",
            {"AttnDownBlock2D", "DownBlock2D"},
            "down_block_types: expected DownBlock2D"},
           {unet, "attention_head_dim", {4, 5}, "attention_head_dim"},
           {unet, "act_fn", "gelu", "act_fn: expected \"silu\""},
           {unet, "norm_eps", "small", "norm_eps: expected a number"},
           {vae, "shift_factor", 0.5, "shift_factor: expected null"},
           {vae, "scaling_factor", 0, "scaling_factor: expected a positive number"},
           {vae, "up_block_types", {"AttnUpDecoderBlock2D", "UpDecoderBlock2D"}, "up_block_types"},
           {text, "hidden_act", "relu", "hidden_act: expected quick_gelu or gelu"},
           {text, "num_attention_heads", 5, "num_attention_heads: expected a divisor"},
           {text, "model_type", "t5", "model_type: expected \"clip_text_model\""},
           {scheduler, "_class_name", "LMSDiscreteScheduler",
            "_class_name: expected DDIMScheduler, PNDMScheduler"},
           {scheduler, "prediction_type", "v_prediction", "prediction_type: expected \"epsilon\""},
           {scheduler, "skip_prk_steps", false, "skip_prk_steps: expected true"},
           {scheduler, "beta_schedule", "squaredcos_cap_v2",
            "beta_schedule: expected linear or scaled_linear"},
           {scheduler, "num_train_timesteps", 20000, "num_train_timesteps: expected 2 to 10000"},
           {scheduler, "trained_betas", {0.1}, "trained_betas: expected 1000 numbers"},
           {index, "_class_name", "StableDiffusionXLPipeline",
            "_class_name: expected StableDiffusionPipeline"},
           {index, "unet", {"diffusers", "FluxTransformer2DModel"}, "unet: expected UNet2DConditionModel"}}) {
    const Folder folder;
    folder.edit(refused.file, [&](Json& json) { json[refused.key] = refused.value; });
    EXPECT_THAT(folder.refusal(),
                AllOf(HasSubstr(refused.file + ": "), HasSubstr(refused.says), HasSubstr(", found ")));
  }
}

TEST(StableDiffusionFolder, RefusesConfigsThatPromiseMoreThanTheFileHolds) {
  for (const char* key : {"block_out_channels", "layers_per_block"}) {
    const Folder folder;
    folder.edit("unet/config.json", [&](Json& json) {
      json[key] = key == std::string("layers_per_block") ? Json(1 << 20) : Json({1 << 20, 1 << 20});
    });
    const FewerBytes memory(1 << 30);
    EXPECT_THAT(folder.refusal(), HasSubstr(kUnet));
  }
}

TEST(StableDiffusionFolder, NamesMissingFilesAndParts) {
  for (const char* file :
       {"model_index.json", "unet/config.json", "scheduler/scheduler_config.json", kUnet}) {
    const Folder folder;
    fs::remove(folder.path() / file);
    EXPECT_THAT(folder.refusal(),
                AllOf(HasSubstr(fs::path(file).parent_path()), HasSubstr(fs::path(file).filename())));
  }
  {
    const Folder other;  // parts of two pipelines
    fs::remove_all(other.path() / "text_encoder");
    fs::copy(golden_folder("b") / "text_encoder", other.path() / "text_encoder", fs::copy_options::recursive);
    EXPECT_THAT(other.refusal(), HasSubstr("unet/config.json: cross_attention_dim: expected 64"));
  }
  const Folder folder;
  fs::remove_all(folder.path() / "vae");
  EXPECT_THAT(folder.refusal(), HasSubstr("vae/config.json: cannot read"));
}

TEST(StableDiffusionFolder, RefusesPickledWeightsAndSaysHowToConvert) {
  const Folder folder;
  fs::rename(folder.path() / kUnet, folder.path() / "unet/diffusion_pytorch_model.bin");
  EXPECT_THAT(folder.refusal(), AllOf(HasSubstr("found diffusion_pytorch_model.bin, which is pickled"),
                                      HasSubstr("save_pretrained")));
  write_file(folder.path() / "sd.ckpt", "x");
  EXPECT_THAT(message_of<Error>([&] { StableDiffusion::load(folder.path() / "sd.ckpt"); }),
              AllOf(HasSubstr("sd.ckpt: expected a folder"), HasSubstr("from_single_file")));
}

TEST(StableDiffusionFolder, RefusesSpoiledWeights) {
  {
    const Folder folder;
    folder.edit_weights(kUnet, [](NamedTensors& all) { all["conv_in.bias"][3] = std::nan(""); });
    EXPECT_THAT(folder.refusal(), HasSubstr("tensor 'conv_in.bias': expected finite numbers"));
  }
  {
    const Folder folder;
    folder.edit_weights(kUnet, [](NamedTensors& all) { all["conv_in.bias"] = torch::zeros({17}); });
    EXPECT_THAT(folder.refusal(), HasSubstr("tensor 'conv_in.bias': expected shape [16], found [17]"));
  }
  {
    const Folder folder;
    folder.edit_weights(kUnet, [](NamedTensors& all) { all.erase("conv_out.weight"); });
    EXPECT_THAT(folder.refusal(), HasSubstr("expected a tensor 'conv_out.weight', found none"));
  }
  {
    const Folder folder;
    folder.edit_weights(kUnet, [](NamedTensors& all) { all["lora.up"] = torch::zeros({1}); });
    EXPECT_THAT(folder.refusal(), HasSubstr("tensor 'lora.up'"));
  }
  {
    const Folder folder;
    folder.edit_weights(kUnet,
                        [](NamedTensors& all) { all["conv_in.bias"] = torch::zeros({16}, torch::kLong); });
    EXPECT_THAT(folder.refusal(), HasSubstr("expected a floating-point type, found I64"));
  }
  {
    const Folder folder;
    fs::resize_file(folder.path() / kUnet, fs::file_size(folder.path() / kUnet) - 4);
    EXPECT_THAT(folder.refusal(), AllOf(HasSubstr(kUnet), HasSubstr("truncated")));
  }
  {
    const Folder folder;
    write_file(folder.path() / kUnet, "PK\x03\x04 a zip archive of PyTorch");
    EXPECT_THAT(folder.refusal(), AllOf(HasSubstr(kUnet), HasSubstr("not a safetensors file")));
  }
  {
    const Folder folder;  // both an old and a new name of one tensor
    folder.edit_weights("vae/diffusion_pytorch_model.safetensors", [](NamedTensors& all) {
      all["decoder.mid_block.attentions.0.query.bias"] = all.at("decoder.mid_block.attentions.0.to_q.bias");
    });
    EXPECT_THAT(folder.refusal(), HasSubstr("expected one tensor of this meaning"));
  }
}

TEST(StableDiffusionFolder, RefusesAShardThatIsMissing) {
  const TemporaryFolder folder;
  fs::copy(golden_folder("b"), folder.path() / "b", fs::copy_options::recursive);
  for (const auto& entry : fs::directory_iterator(folder.path() / "b/unet"))
    if (entry.path().filename().string().find("-00002-of-") != std::string::npos) fs::remove(entry.path());
  EXPECT_THAT(message_of<Error>([&] { StableDiffusion::load(folder.path() / "b"); }),
              HasSubstr("-00002-of-"));
}

TEST(StableDiffusionFolder, WantsATokenizerForTextsOnly) {
  const Folder folder;
  const StableDiffusion model = folder.load();
  EXPECT_THAT(message_of<Error>([&] { model.embed({"a cat"}); }),
              HasSubstr("tokenizer: expected a tokenizer"));
  EXPECT_THROW(StableDiffusion::load(folder.path(), "cpu", "int8"), InvalidArgument);
}

}  // namespace
}  // namespace diffreward
