// Memory that is handed out piece by piece and taken back at once. It grows to what a pass needs, and later
// passes allocate nothing.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

namespace diffreward {

template <class T>
class Arena {
 public:
  struct Mark {
    std::size_t block = 0, used = 0;
  };

  /// `count` numbers, not initialised, that begin on a cache line; they stay in place.
  T* take(std::size_t count) {
    constexpr std::size_t kLine = 64 / sizeof(T);
    count = (count + kLine - 1) / kLine * kLine;
    while (at_.block < blocks_.size() && at_.used + count > blocks_[at_.block].size) at_ = {at_.block + 1, 0};
    if (at_.block == blocks_.size()) {
      const std::size_t size = std::max(count, kBlock);
      blocks_.push_back({std::unique_ptr<T[], Free>(new (std::align_val_t{64}) T[size]), size});
    }
    T* const memory = blocks_[at_.block].memory.get() + at_.used;
    at_.used += count;
    return memory;
  }

  Mark mark() const { return at_; }
  /// Takes back what was handed out since the mark.
  void rewind(Mark mark) { at_ = mark; }
  void clear() { at_ = {}; }

 private:
  static constexpr std::size_t kBlock = (std::size_t{1} << 20) / sizeof(T);
  struct Free {
    void operator()(T* memory) const { ::operator delete[](memory, std::align_val_t{64}); }
  };
  struct Block {
    std::unique_ptr<T[], Free> memory;
    std::size_t size;
  };
  std::vector<Block> blocks_;
  Mark at_;
};

}  // namespace diffreward
