#include <gtest/gtest.h>
#include <torch/torch.h>

#include <fstream>
#include <string>

#include "agents/nets/mapped_torch.h"
#include "agents/nets/tensor_file_torch.h"
#include "core/file.h"

namespace diffreward {
namespace {

/// MB of the process that are pages of files.
double file_pages_mb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("RssFile:")) return std::stod(line.substr(8)) / 1024;
  return 0;
}

TEST(Mapped, PagesThatAreLetGoComeBackFromTheFile) {
  const std::filesystem::path path = std::filesystem::path(testing::TempDir()) / "mapped.safetensors";
  const torch::Tensor written = torch::arange(8 << 20, torch::kFloat);  // 32 MB
  save_tensors(path, {{"a", torch::ones({3})}, {"b", written}, {"c", torch::ones({5})}}, {});
  const Safetensors file = Safetensors::open(path);
  const torch::Tensor a = tensor_from(file.at("a"), "a", file.mapping()),
                      b = tensor_from(file.at("b"), "b", file.mapping()),
                      c = tensor_from(file.at("c"), "c", file.mapping());
  ASSERT_EQ(b.data_ptr(), static_cast<const void*>(file.at("b").bytes.data()));
  ASSERT_TRUE(b.equal(written));
  const double before = file_pages_mb();
  release_pages(b);
  EXPECT_LT(file_pages_mb(), before - 30);
  EXPECT_TRUE(b.equal(written));
  EXPECT_TRUE(a.equal(torch::ones({3})) && c.equal(torch::ones({5})));  // which share pages with it
}

TEST(Mapped, OnlyPagesOfFilesAreLetGo) {
  const torch::Tensor own = torch::ones({8 << 20});
  std::vector<float> numbers(8 << 20, 1.0f);
  const torch::Tensor lent = torch::from_blob(
      numbers.data(), {8 << 20}, [](void*) {}, torch::dtype(torch::kFloat));
  for (const torch::Tensor& tensor : {own, lent, torch::Tensor()}) release_pages(tensor);
  EXPECT_TRUE(own.equal(torch::ones_like(own)));
  EXPECT_TRUE(lent.equal(own));
}

TEST(Mapped, KeepsTheMappingAsLongAsItLives) {
  const auto mapping = std::make_shared<const std::vector<std::byte>>(16);
  const std::weak_ptr<const void> watched = mapping;
  torch::Tensor tensor;
  {
    std::shared_ptr<const void> taken = mapping;
    tensor = mapped_tensor({mapping->data(), 16}, {2, 2}, torch::kFloat, taken);
  }
  const torch::Tensor part = tensor[0];
  tensor.reset();
  EXPECT_EQ(watched.use_count(), 2);
  EXPECT_EQ(part.sum().item<float>(), 0.0f);
}

}  // namespace
}  // namespace diffreward
