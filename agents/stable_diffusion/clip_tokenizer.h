// CLIP's tokenizer: a prompt becomes the numbers of vocabulary entries that a text encoder reads. The text is brought to
// Unicode's composed form and lower case, cut into words, numbers and signs, and each of these into the entries that
// byte-pair encoding (Sennrich, Haddow, Birch, ACL 2016) makes of its bytes. Ids are those of CLIPTokenizer in
// transformers 5.23 on tokenizers 0.23; tests/oracle/clip_tokenizer_test.py compares them.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace diffreward {

/// Immutable: one object may serve many threads.
class ClipTokenizer {
 public:
  /// From a folder as `save_pretrained` writes it: tokenizer.json, else vocab.json and merges.txt; and, where they are,
  /// tokenizer_config.json, special_tokens_map.json and added_tokens.json, read in transformers' order of precedence.
  /// Throws Error naming the file, what was expected and what was found: files that are missing or damaged, ids other
  /// than 0 … n - 1, merges of unknown entries, settings that would give other ids (text cut on the left and the like),
  /// and n other than `vocabulary`, the rows of the text encoder's table, where that is given.
  static ClipTokenizer load(const std::filesystem::path& folder, std::optional<int> vocabulary = {});
  /// Learned from texts by byte-pair encoding: again and again the most frequent pair of neighbours within words, of these
  /// the one with the lesser ids, becomes an entry, until `most_merges` are there or each word is one entry. Vocabulary:
  /// 256 bytes, the same at the end of a word, what was merged, beginning, end. Throws InvalidArgument for text that is
  /// no UTF-8 and numbers out of range.
  static ClipTokenizer learn(std::span<const std::string> texts, int most_merges, int max_length = 77);

  /// [max_length] the beginning's id, those of the text, the end's, then the padding's. A text that is too long loses
  /// its last ids, not the end's. Throws InvalidArgument, with the place of the byte, for text that is no UTF-8.
  std::vector<std::int64_t> encode(std::string_view text) const;
  /// The ids of the whole text, without beginning, end and padding. Throws as encode() does.
  std::vector<std::int64_t> ids(std::string_view text) const;

  int max_length() const { return max_length_; }  ///< 77 where the files do not say
  /// The same for texts of another number of ids, at least 2. Throws InvalidArgument.
  ClipTokenizer with_max_length(int max_length) const;
  int vocabulary() const { return static_cast<int>(texts_.size()); }  ///< ids are below it

  /// Writes vocab.json, merges.txt and tokenizer_config.json, of which Python's transformers and load() make an equal
  /// tokenizer. Throws Error where a file fails, and where the folder has a tokenizer.json, which would be read instead.
  void save(const std::filesystem::path& folder) const;

 private:
  friend class ClipTokenizerReader;

  /// An entry that is found in the text as it is, before the text is cut into words.
  struct Added {
    std::string content;
    std::string found;  // what is looked for: the content, of a normalized one in its normal form
    std::int32_t id;
    bool normalized;  // looked for after the text was brought to normal form
    bool special;
  };
  static constexpr std::uint64_t kNoPair = ~std::uint64_t{0};
  struct Merge {
    std::uint64_t pair = kNoPair;
    std::int32_t rank = 0, merged = 0;
  };
  struct Scratch;

  ClipTokenizer() = default;
  static std::uint64_t pair_of(std::int32_t left, std::int32_t right);
  std::size_t place_of(std::uint64_t pair) const;
  void make_table(std::span<const std::int32_t> merged);
  void encode_word(std::string_view word, std::vector<std::int64_t>& out, Scratch& scratch) const;
  void encode_words(std::string_view text, std::size_t limit, std::vector<std::int64_t>& out,
                    Scratch& scratch) const;
  template <class OnText, class OnId>
  void split(std::string_view text, bool normalized, const OnText& on_text, const OnId& on_id) const;
  std::vector<std::int64_t> first_ids(std::string_view text, std::size_t limit) const;

  std::vector<std::string> texts_;                             // [vocabulary] of each id
  std::size_t in_model_ = 0;                                   // ids below it were there before any was added
  std::vector<std::pair<std::int32_t, std::int32_t>> merges_;  // by rank
  std::vector<Merge> table_;                              // merges, hashed by their pairs; a power of two
  std::array<std::array<std::int32_t, 256>, 2> bytes_{};  // ids of bytes, inside and at the end of a word
  std::vector<Added> added_;
  std::array<std::array<bool, 256>, 2>
      begins_{};  // whether an added entry, and a normalized one, begins with the byte
  std::string bos_, eos_, pad_, unknown_;
  std::int64_t bos_id_ = 0, eos_id_ = 0, pad_id_ = 0;
  int max_length_ = 77;
};

}  // namespace diffreward
