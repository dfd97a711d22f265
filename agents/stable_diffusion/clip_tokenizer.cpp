#include "agents/stable_diffusion/clip_tokenizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>
#include <map>
#include <span>
#include <unordered_map>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"

namespace diffreward {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kLargestFile = std::size_t{64}
                                     << 20;  // bytes; CLIP's own tokenizer.json has 3.6 million
constexpr std::size_t kMostAdded = 1000;     // entries that are looked for at every byte of a text
constexpr std::size_t kLongestText = std::size_t{1} << 30;  // bytes
constexpr int kLongestPrompt = 1'000'000;                   // ids
constexpr double kNoLength = 1e20;                          // what transformers takes for no limit
constexpr std::string_view kEndOfWord = "</w>";
constexpr int kMostLearned = 100'000;  // merges

// --- Unicode. utf8proc 2.8 knows version 15. tokenizers asks Oniguruma (16) for letters and numbers, Rust (17) for lower
// case and a crate for the composed form (9); ids are to be equal, so that here is what these know beyond 15, and what 15
// knows beyond 9. The oracle test goes through all characters.

struct Range {
  char32_t first, last;
};
constexpr Range kNewLetters[] = {
    {0x1c89, 0x1c8a},   {0xa7cb, 0xa7cd},   {0xa7da, 0xa7dc},   {0x105c0, 0x105f3}, {0x10d4a, 0x10d65},
    {0x10d6f, 0x10d85}, {0x10ec2, 0x10ec4}, {0x11380, 0x11389}, {0x1138b, 0x1138b}, {0x1138e, 0x1138e},
    {0x11390, 0x113b5}, {0x113b7, 0x113b7}, {0x113d1, 0x113d1}, {0x113d3, 0x113d3}, {0x11bc0, 0x11be0},
    {0x13460, 0x143fa}, {0x16100, 0x1611d}, {0x16d40, 0x16d6c}, {0x18cff, 0x18cff}, {0x1e5d0, 0x1e5ed},
    {0x1e5f0, 0x1e5f0}, {0x2ebf0, 0x2ee5d}};
constexpr Range kNewNumbers[] = {{0x10d40, 0x10d49}, {0x116d0, 0x116e3}, {0x11bf0, 0x11bf9},
                                 {0x16130, 0x16139}, {0x16d70, 0x16d79}, {0x1ccf0, 0x1ccf9},
                                 {0x1e5f1, 0x1e5fa}};
struct LowerCase {
  Range upper;
  char32_t lower;  // of the first
};
constexpr LowerCase kNewLowerCase[] = {{{0x1c89, 0x1c89}, 0x1c8a},    {{0xa7cb, 0xa7cb}, 0x264},
                                       {{0xa7cc, 0xa7cc}, 0xa7cd},    {{0xa7ce, 0xa7ce}, 0xa7cf},
                                       {{0xa7d2, 0xa7d2}, 0xa7d3},    {{0xa7d4, 0xa7d4}, 0xa7d5},
                                       {{0xa7da, 0xa7da}, 0xa7db},    {{0xa7dc, 0xa7dc}, 0x19b},
                                       {{0x10d50, 0x10d65}, 0x10d70}, {{0x16ea0, 0x16eb8}, 0x16ebb}};

// Marks that were not there to change places with others, and U+11930, which did not compose with U+11935 to U+11938.
constexpr Range kNewMarks[] = {
    {0x7fd, 0x7fd},     {0x898, 0x89f},     {0x8ca, 0x8d3},     {0x9fe, 0x9fe},     {0xc3c, 0xc3c},
    {0xd3b, 0xd3c},     {0xeba, 0xeba},     {0x1715, 0x1715},   {0x1abf, 0x1ace},   {0x1df6, 0x1dfa},
    {0xa82c, 0xa82c},   {0x10d24, 0x10d27}, {0x10eab, 0x10eac}, {0x10efd, 0x10eff}, {0x10f46, 0x10f50},
    {0x10f82, 0x10f85}, {0x11070, 0x11070}, {0x1133b, 0x1133b}, {0x1145e, 0x1145e}, {0x11839, 0x1183a},
    {0x11930, 0x11930}, {0x1193d, 0x1193e}, {0x11943, 0x11943}, {0x119e0, 0x119e0}, {0x11a34, 0x11a34},
    {0x11a47, 0x11a47}, {0x11a99, 0x11a99}, {0x11d42, 0x11d42}, {0x11d44, 0x11d45}, {0x11d97, 0x11d97},
    {0x11f41, 0x11f42}, {0x16ff0, 0x16ff1}, {0x1e08f, 0x1e08f}, {0x1e130, 0x1e136}, {0x1e2ae, 0x1e2ae},
    {0x1e2ec, 0x1e2ef}, {0x1e4ec, 0x1e4ef}};
constexpr utf8proc_int32_t kNewComposed = 0x11938;

constexpr char32_t kCapitalIWithDot = 0x130;  // the one letter whose lower case is two: i and a dot above
constexpr char32_t kDotAbove = 0x307;
constexpr char32_t kFirstComposed = 0x300;  // before it, nothing composes, decomposes or changes places

bool within(std::span<const Range> ranges, char32_t c) {
  return std::ranges::any_of(ranges, [c](const Range& range) { return c >= range.first && c <= range.last; });
}

enum class Kind : unsigned char { kSpace, kLetter, kNumber, kSign };

/// White space as Unicode's property has it (with U+0085, without U+200B), \p{L}, \p{N}, the rest.
Kind kind_of_any(char32_t c) {
  constexpr Range kSpaces[] = {{'\t', '\r'},     {' ', ' '},       {0x85, 0x85},     {0xa0, 0xa0},
                               {0x1680, 0x1680}, {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f},
                               {0x205f, 0x205f}, {0x3000, 0x3000}};
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  if (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) return Kind::kLetter;
  if (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO) return Kind::kNumber;
  if (within(kSpaces, c)) return Kind::kSpace;
  if (category != UTF8PROC_CATEGORY_CN) return Kind::kSign;
  return within(kNewLetters, c) ? Kind::kLetter : within(kNewNumbers, c) ? Kind::kNumber : Kind::kSign;
}

Kind kind_of(char32_t c) {
  static const auto ascii = [] {
    std::array<Kind, 128> kinds{};
    for (char32_t i = 0; i < kinds.size(); ++i) kinds[i] = kind_of_any(i);
    return kinds;
  }();
  return c < ascii.size() ? ascii[c] : kind_of_any(c);
}

char32_t lower_of(char32_t c) {
  if (c < 128) return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
  const auto lower = static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
  if (lower != c) return lower;
  for (const LowerCase& entry : kNewLowerCase)
    if (c >= entry.upper.first && c <= entry.upper.last) return entry.lower + (c - entry.upper.first);
  return c;
}

/// The character at `at` of text that is UTF-8; moves `at` behind it.
char32_t next_of(std::string_view text, std::size_t& at) {
  const auto byte = [&] { return static_cast<unsigned char>(text[at++]); };
  const char32_t first = byte();
  if (first < 0x80) return first;
  char32_t c = first & (first < 0xe0 ? 0x1f : first < 0xf0 ? 0x0f : 0x07);
  for (int more = first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3; more > 0; --more) c = c << 6 | (byte() & 0x3f);
  return c;
}

void append(std::string& text, char32_t c) {
  utf8proc_uint8_t bytes[4];
  const auto length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes);
  text.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(length));
}

void check_utf8(std::string_view text) {
  require(text.size() <= kLongestText, "prompt: expected at most ", kLongestText, " bytes, found ",
          text.size());
  for (std::size_t at = 0; at < text.size();) {
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      ++at;
      continue;
    }
    utf8proc_int32_t c = 0;
    const auto length = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at,
                                         static_cast<utf8proc_ssize_t>(text.size() - at), &c);
    require(length > 0, "prompt: expected UTF-8, found other bytes at byte ", at);
    at += static_cast<std::size_t>(length);
  }
}

/// Unicode's normal form C. utf8proc's own way orders combining marks in quadratic time.
void compose(std::vector<utf8proc_int32_t>& characters) {
  std::vector<utf8proc_int32_t> out;
  out.reserve(characters.size());
  for (const utf8proc_int32_t c : characters) {
    utf8proc_int32_t parts[8] = {c};  // no canonical decomposition has more than 4
    int boundary = 0;
    const auto n = c == kNewComposed
                       ? 1
                       : utf8proc_decompose_char(c, parts, std::size(parts), UTF8PROC_DECOMPOSE, &boundary);
    out.insert(out.end(), parts, parts + n);
  }
  const auto is_new = [](utf8proc_int32_t c) { return within(kNewMarks, static_cast<char32_t>(c)); };
  const auto order = [&](utf8proc_int32_t c) {
    const int known = utf8proc_get_property(c)->combining_class;
    return known != 0 && is_new(c) ? 0 : known;
  };
  for (auto begin = out.begin(); begin != out.end();) {
    const auto end = std::find_if(begin, out.end(), [&](utf8proc_int32_t c) { return order(c) == 0; });
    std::stable_sort(begin, end, [&](utf8proc_int32_t a, utf8proc_int32_t b) { return order(a) < order(b); });
    begin = end == out.end() ? end : end + 1;
  }
  characters.clear();
  constexpr auto kCompose = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  for (auto begin = out.begin(); begin != out.end();) {  // nothing composes with what is new
    const auto end = std::find_if(begin + 1, out.end(), is_new);
    const auto length = utf8proc_normalize_utf32(&*begin, end - begin, kCompose);
    characters.insert(characters.end(), begin, begin + length);
    begin = end;
  }
}

/// Composed, each stretch of white space one space, in lower case.
std::string normal_form(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  bool space = false;
  const auto add = [&](char32_t c) {
    const bool is_space = kind_of(c) == Kind::kSpace;
    if (is_space && !space) out.push_back(' ');
    space = is_space;
    if (is_space) return;
    if (c < 0x80) {
      out.push_back(static_cast<char>(lower_of(c)));
    } else if (c == kCapitalIWithDot) {
      out.push_back('i');
      append(out, kDotAbove);
    } else {
      append(out, lower_of(c));
    }
  };
  constexpr unsigned char kFirstByte = 0xcc;  // of kFirstComposed, in UTF-8
  const bool plain =
      std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < kFirstByte; });
  if (plain) {
    for (std::size_t at = 0; at < text.size();) add(next_of(text, at));
    return out;
  }
  std::vector<utf8proc_int32_t> characters;
  characters.reserve(text.size());
  for (std::size_t at = 0; at < text.size();)
    characters.push_back(static_cast<utf8proc_int32_t>(next_of(text, at)));
  compose(characters);
  for (const utf8proc_int32_t c : characters) add(static_cast<char32_t>(c));
  return out;
}

/// Where the word at the beginning of a text in normal form ends: the first of these that is there,
/// <|startoftext|> <|endoftext|> 's 't 're 've 'm 'll 'd, letters, one number, signs. None begins with white space.
std::size_t end_of_word(std::string_view text) {
  constexpr std::string_view kWords[] = {
      "<|startoftext|>", "<|endoftext|>", "'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
  if (text[0] == '<' || text[0] == '\'')
    for (const std::string_view word : kWords)
      if (text.starts_with(word)) return word.size();
  std::size_t at = 0;
  const Kind kind = kind_of(next_of(text, at));
  if (kind == Kind::kNumber) return at;
  for (std::size_t end = at; end < text.size(); at = end)
    if (kind_of(next_of(text, end)) != kind) break;
  return at;
}

/// The next word of a text in normal form, which is cut off; empty where none is left.
std::string_view take_word(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  const std::string_view word = text.substr(0, text.empty() ? 0 : end_of_word(text));
  text.remove_prefix(word.size());
  return word;
}

/// The character that stands for a byte in vocabularies: itself where it can be seen, else one from U+0100 on.
char32_t character_of(unsigned char byte) {
  const auto seen = [](unsigned c) {
    return (c >= '!' && c <= '~') || (c >= 0xa1 && c != 0xad && c <= 0xff);
  };
  if (seen(byte)) return byte;
  char32_t character = 0x100;
  for (unsigned c = 0; c < byte; ++c) character += !seen(c);
  return character;
}

// --- Files.

/// Of the text of an entry, for a message.
std::string shown(const std::string& text) {
  return brief(Json(text));
}

std::string shown(const LargeJson& value) {
  return value.is_structured() ? concat("a JSON ", value.type_name()) : brief(Json(value));
}

std::string read_small(const fs::path& path) {
  const std::size_t size = RegularFile(path).size();
  if (size > kLargestFile)
    throw Error(concat(path.string(), ": expected at most ", kLargestFile, " bytes, found ", size));
  return read_file(path);
}

LargeJson read_object(const fs::path& path) {
  LargeJson json = parse_large_json(read_small(path), path.string());
  if (!json.is_object()) throw Error(concat(path.string(), ": expected a JSON object, found ", shown(json)));
  return json;
}

bool is_there(const fs::path& path) {
  std::error_code failed;
  return fs::exists(path, failed);
}

/// The member, null where there is none.
const LargeJson& member_of(const LargeJson& object, const char* name) {
  static const LargeJson none;
  const auto found = object.find(name);
  return found == object.end() ? none : *found;
}

}  // namespace

/// Puts a tokenizer together from the files of a folder.
class ClipTokenizerReader {
 public:
  explicit ClipTokenizerReader(fs::path folder) : folder_(std::move(folder)) {}

  ClipTokenizer read() {
    read_model();
    const fs::path config_path = folder_ / "tokenizer_config.json";
    LargeJson config = LargeJson::object();
    if (is_there(config_path)) config = read_object(config_path);
    file_ = config_path;
    read_settings(config);
    read_added(config);
    for (auto& [key, name, id] : names()) {
      const auto found = ids_.find(*name);
      check(found != ids_.end(), key, ": expected an entry of the vocabulary, found ", shown(*name));
      if (id) *id = found->second;
    }
    read_bytes();
    for (const auto& added : made_.added_)
      made_.begins_[added.normalized][static_cast<unsigned char>(added.found[0])] = true;
    return std::move(made_);
  }

 private:
  /// An entry that was added after training, or named for a use.
  struct Token {
    std::string content;
    bool plain;  // only a text: it has no say in the rest
    bool normalized = false, special = false;
  };
  struct Name {
    const char* key;
    std::string* name;
    std::int64_t* id;
  };

  /// In transformers' order.
  std::array<Name, 4> names() {
    return {{{"bos_token", &made_.bos_, &made_.bos_id_},
             {"eos_token", &made_.eos_, &made_.eos_id_},
             {"unk_token", &made_.unknown_, nullptr},
             {"pad_token", &made_.pad_, &made_.pad_id_}}};
  }

  template <class... Parts>
  void check(bool ok, const Parts&... message) const {
    if (!ok) throw Error(concat(file_.string(), ": ", message...));
  }

  void read_model() {
    const fs::path whole = folder_ / "tokenizer.json", vocabulary = folder_ / "vocab.json",
                   merges = folder_ / "merges.txt";
    if (is_there(whole)) {
      file_ = whole;
      whole_ = read_object(whole);
      const LargeJson& model = member_of(whole_, "model");
      check(model.is_object(), "model: expected a JSON object, found ", shown(model));
      const LargeJson &type = member_of(model, "type"), &suffix = member_of(model, "end_of_word_suffix");
      check(type.is_null() || type == "BPE", "model.type: expected \"BPE\", found ", shown(type));
      check(suffix == kEndOfWord, "model.end_of_word_suffix: expected \"", kEndOfWord, "\", found ",
            shown(suffix));
      read_vocabulary(member_of(model, "vocab"), "model.vocab: ");
      read_merges(member_of(model, "merges"));
      return;
    }
    if (!is_there(vocabulary) && !is_there(merges))
      throw Error(
          concat(folder_.string(), ": expected vocab.json and merges.txt, or tokenizer.json, found neither"));
    file_ = vocabulary;
    read_vocabulary(read_object(vocabulary), "");
    file_ = merges;
    read_merges(read_small(merges));
  }

  void read_vocabulary(const LargeJson& vocabulary, const char* where) {
    check(vocabulary.is_object(), where, "expected entries and their ids, found ", shown(vocabulary));
    std::vector<bool> seen(vocabulary.size());
    made_.texts_.resize(vocabulary.size());
    ids_.reserve(vocabulary.size());
    for (const auto& [text, id] : vocabulary.items()) {
      check(id.is_number_unsigned() && id.get<std::uint64_t>() < seen.size(), where, shown(text),
            ": expected an id below the number of entries, ", seen.size(), ", found ", shown(id));
      const auto place = id.get<std::size_t>();
      check(!seen[place], where, shown(text), ": expected an id of its own, found ", place, ", that of ",
            shown(made_.texts_[place]));
      seen[place] = true;
      made_.texts_[place] = text;
      ids_.emplace(text, static_cast<std::int32_t>(place));
    }
    made_.in_model_ = made_.texts_.size();
  }

  void read_merges(const std::string& text) {
    std::vector<std::pair<std::string, std::string>> pairs;
    std::size_t line = 0;
    for (std::size_t begin = 0; begin < text.size(); ++line) {
      const std::size_t end = std::min(text.find('\n', begin), text.size());
      std::string_view content = std::string_view(text).substr(begin, end - begin);
      begin = end + 1;
      if (content.ends_with('\r')) content.remove_suffix(1);
      if (content.starts_with("#version")) continue;
      add_pair(content, concat("line ", line + 1));
    }
    made_.make_table(merged_);
  }

  void read_merges(const LargeJson& merges) {
    check(merges.is_array(), "model.merges: expected a list, found ", shown(merges));
    for (std::size_t i = 0; i < merges.size(); ++i) {
      const LargeJson& merge = merges[i];
      const std::string where = concat("model.merges: item ", i);
      if (merge.is_string()) {  // as tokenizers before 0.20 wrote them
        add_pair(merge.get_ref<const std::string&>(), where);
        continue;
      }
      check(merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string(), where,
            ": expected two entries, found ", shown(merge));
      add_pair(merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>(), where);
    }
    made_.make_table(merged_);
  }

  void add_pair(std::string_view both, const std::string& where) {
    const std::size_t space = both.find(' ');
    check(space != both.npos && both.find(' ', space + 1) == both.npos, where,
          ": expected two entries and a space between them, found ", shown(std::string(both)));
    add_pair(std::string(both.substr(0, space)), std::string(both.substr(space + 1)), where);
  }

  void add_pair(const std::string& left, const std::string& right, const std::string& where) {
    const auto id_of = [&](const std::string& text) {
      const auto found = ids_.find(text);
      check(found != ids_.end(), where, ": expected entries of the vocabulary, found ", shown(text));
      return found->second;
    };
    const std::int32_t first = id_of(left), second = id_of(right);
    made_.merges_.emplace_back(first, second);
    merged_.push_back(id_of(left + right));
  }

  /// The entries of single bytes; the unknown one where the vocabulary has none.
  void read_bytes() {
    const auto in_model = [&](const std::string& text) {
      const auto found = ids_.find(text);
      return found != ids_.end() && std::size_t(found->second) < made_.in_model_ ? found->second : -1;
    };
    const std::int32_t unknown = in_model(made_.unknown_);
    for (std::size_t byte = 0; byte < 256; ++byte) {
      std::string text;
      append(text, character_of(static_cast<unsigned char>(byte)));
      for (auto& ids : made_.bytes_) {
        const std::int32_t id = in_model(text);
        check(id >= 0 || unknown >= 0, "unk_token: expected an entry of the vocabulary, which has none for ",
              shown(text), ", found ", shown(made_.unknown_));
        ids[byte] = id >= 0 ? id : unknown;
        text += kEndOfWord;
      }
    }
  }

  void read_settings(const LargeJson& config) {
    const LargeJson& length = member_of(config, "model_max_length");
    if (!length.is_null() && !(length.is_number() && length.get<double>() > kNoLength)) {
      check(length.is_number_integer() && length.get<std::int64_t>() >= 2 &&
                length.get<std::int64_t>() <= kLongestPrompt,
            "model_max_length: expected a whole number in [2, ", kLongestPrompt, "], found ", shown(length));
      made_.max_length_ = length.get<int>();
    }
    for (const char* key : {"padding_side", "truncation_side"}) {
      const LargeJson& side = member_of(config, key);
      check(side.is_null() || side == "right", key, ": expected \"right\", found ", shown(side));
    }
    const LargeJson& split = member_of(config, "split_special_tokens");
    check(split.is_null() || split == false, "split_special_tokens: expected false, found ", shown(split));
  }

  /// As transformers reads them: added_tokens_decoder of the settings, or else special_tokens_map.json,
  /// added_tokens.json and tokenizer.json's added_tokens.
  void read_added(LargeJson& config) {
    std::vector<std::pair<std::uint64_t, Token>> added;  // by their ids
    const auto add = [&](const LargeJson& id, Token token) {
      check(id.is_number_unsigned(), "added tokens: ", shown(token.content), ": expected an id, found ",
            shown(id));
      check(added.size() < kMostAdded, "added tokens: expected at most ", kMostAdded, ", found more");
      std::erase_if(added, [&](const auto& other) { return other.first == id.get<std::uint64_t>(); });
      added.emplace_back(id.get<std::uint64_t>(), std::move(token));
    };
    if (const LargeJson& decoder = member_of(config, "added_tokens_decoder"); !decoder.is_null()) {
      check(decoder.is_object(), "added_tokens_decoder: expected a JSON object, found ", shown(decoder));
      for (const auto& [id, token] : decoder.items()) {
        check(!id.empty() && id.size() < 10 && id.find_first_not_of("0123456789") == id.npos,
              "added_tokens_decoder: expected ids, found ", shown(id));
        add(std::stoul(id), token_of(token, "added_tokens_decoder"));
      }
    } else {
      read_legacy(config, add);
    }
    std::ranges::sort(added, {}, &std::pair<std::uint64_t, Token>::first);
    for (const auto& [id, token] : added) {
      const auto known = ids_.try_emplace(token.content, static_cast<std::int32_t>(made_.texts_.size()));
      if (known.second) made_.texts_.push_back(token.content);
      check(std::uint64_t(known.first->second) == id, "added token ", shown(token.content),
            ": expected the id ", known.first->second, ", found ", id);
      look_for(token);
    }
    read_names(config, added);
  }

  template <class Add>
  void read_legacy(LargeJson& config, const Add& add) {
    const fs::path settings = file_, map = folder_ / "special_tokens_map.json",
                   extra = folder_ / "added_tokens.json";
    if (is_there(map)) {
      file_ = map;
      LargeJson uses = read_object(map);
      for (auto& [key, value] : uses.items()) {
        if (value.is_object() && key != "extra_special_tokens") {
          value["special"] = true;
          (void)token_of(value, key);  // complains of this file
        }
        config[key] = value;
      }
    }
    std::vector<std::string> special;
    for (const Name& name : names()) special.push_back(named(config, name.key).content);
    if (is_there(extra)) {
      file_ = extra;
      const LargeJson entries = read_object(extra);
      for (const auto& [text, id] : entries.items()) {
        const bool is_special = std::ranges::find(special, text) != special.end();
        add(id, {text, false, !is_special, is_special});
      }
    }
    if (const LargeJson& whole = member_of(whole_, "added_tokens"); !whole.is_null()) {
      file_ = folder_ / "tokenizer.json";
      check(whole.is_array(), "added_tokens: expected a list, found ", shown(whole));
      for (const LargeJson& token : whole) {
        Token read = token_of(token, "added_tokens");
        check(!read.plain, "added_tokens: expected JSON objects, found ", shown(token));
        add(member_of(token, "id"), std::move(read));
      }
    }
    file_ = settings;
  }

  /// The entries that have a use. One that is not among those added is, by the last that names it; equal objects count
  /// once.
  void read_names(const LargeJson& config, const std::vector<std::pair<std::uint64_t, Token>>& added) {
    std::vector<Token> found;
    const auto is_added = [&](const std::string& content) {
      return std::ranges::any_of(added, [&](const auto& entry) { return entry.second.content == content; });
    };
    for (const Name& name : names()) {
      const Token token = named(config, name.key);
      *name.name = token.content;
      const bool again = std::ranges::any_of(found, [&](const Token& other) {
        return other.content == token.content && other.plain == token.plain;
      });
      if (!is_added(token.content) && !again) found.push_back(token);
    }
    for (Token& token : found) {
      check(ids_.contains(token.content),
            "expected an entry of the vocabulary for the beginning, the end, padding and "
            "unknown ones, found ",
            shown(token.content));
      token.special = true;
      look_for(token);
    }
    for (const char* key :
         {"sep_token", "cls_token", "mask_token", "additional_special_tokens", "extra_special_tokens"}) {
      const LargeJson& value = member_of(config, key);
      if (value.is_null()) continue;
      const LargeJson list = value.is_array() ? value : LargeJson::array({value});
      for (const LargeJson& item : list) {
        const Token token = token_of(item, key);
        check(is_added(token.content), key, ": expected one of the added tokens, found ",
              shown(token.content));
      }
    }
  }

  /// What the settings name for a use, or what CLIP's own do.
  Token named(const LargeJson& config, const std::string& key) const {
    const auto found = config.find(key);
    if (found != config.end()) return token_of(*found, key);
    return {key == "bos_token" ? "<|startoftext|>" : "<|endoftext|>", true};
  }

  Token token_of(const LargeJson& value, const std::string& where) const {
    if (value.is_string()) return {value.get<std::string>(), true};
    const LargeJson& content = value.is_object() ? member_of(value, "content") : value;
    check(content.is_string(), where, ": expected the text of an entry, found ", shown(value));
    const std::string text = content.get<std::string>();
    const auto flag = [&](const char* name, bool without) {
      const LargeJson& is = member_of(value, name);
      check(is.is_null() || is.is_boolean(), where, ": ", shown(text), ": ", name,
            ": expected true or false, found ", shown(is));
      return is.is_null() ? without : is.get<bool>();
    };
    for (const char* name : {"lstrip", "rstrip", "single_word"})
      check(!flag(name, false), where, ": ", shown(text), ": ", name, ": expected false, found true");
    const bool special = flag("special", false);
    return {text, false, flag("normalized", !special), special};
  }

  void look_for(const Token& token) {
    check(!token.content.empty(), "added tokens: expected texts, found an empty one");
    std::erase_if(made_.added_, [&](const auto& other) { return other.content == token.content; });
    const std::string found = token.normalized ? normal_form(token.content) : token.content;
    made_.added_.push_back({token.content, found, ids_.at(token.content), token.normalized, token.special});
  }

  fs::path folder_, file_;                 // the file is what messages name
  LargeJson whole_ = LargeJson::object();  // tokenizer.json
  std::unordered_map<std::string, std::int32_t> ids_;
  std::vector<std::int32_t> merged_;
  ClipTokenizer made_;
};

/// What encoding a text needs beside its ids, kept from word to word.
struct ClipTokenizer::Scratch {
  struct Symbol {
    std::int32_t id;  // -1: merged into the one before it
    std::int32_t previous, next;
  };
  struct Candidate {
    std::int32_t rank, position, merged;
    /// Greater for what is merged later.
    auto operator<=>(const Candidate&) const = default;
  };
  std::vector<Symbol> symbols;
  std::vector<Candidate> heap;
};

std::uint64_t ClipTokenizer::pair_of(std::int32_t left, std::int32_t right) {
  return std::uint64_t(static_cast<std::uint32_t>(left)) << 32 | static_cast<std::uint32_t>(right);
}

/// The place of the pair in the table, or the free one where it would be.
std::size_t ClipTokenizer::place_of(std::uint64_t pair) const {
  const std::size_t mask = table_.size() - 1;
  std::size_t place = (pair * 0x9e3779b97f4a7c15u >> 32) & mask;
  while (table_[place].pair != pair && table_[place].pair != kNoPair) place = (place + 1) & mask;
  return place;
}

/// merged: the id that each of merges_ makes. Of equal merges the last counts.
void ClipTokenizer::make_table(std::span<const std::int32_t> merged) {
  table_.resize(std::bit_ceil(2 * merged.size() + 1));
  for (std::size_t i = 0; i < merged.size(); ++i) {
    const std::uint64_t pair = pair_of(merges_[i].first, merges_[i].second);
    table_[place_of(pair)] = {pair, static_cast<std::int32_t>(i), merged[i]};
  }
}

/// Joins the pair of least rank, of these the first, until none is left.
void ClipTokenizer::encode_word(std::string_view word, std::vector<std::int64_t>& out,
                                Scratch& scratch) const {
  std::vector<Scratch::Symbol>& symbols = scratch.symbols;
  std::vector<Scratch::Candidate>& heap = scratch.heap;
  const std::size_t n = word.size();
  symbols.clear();
  heap.clear();
  for (std::size_t i = 0; i < n; ++i) {
    const auto place = static_cast<std::int32_t>(i);
    const std::int32_t id = bytes_[i + 1 == n][static_cast<unsigned char>(word[i])];
    symbols.push_back({id, place - 1, i + 1 < n ? place + 1 : -1});
  }
  const auto merge_at = [&](std::int32_t left) -> const Merge& {
    const Scratch::Symbol& symbol = symbols[std::size_t(left)];
    return table_[place_of(pair_of(symbol.id, symbols[std::size_t(symbol.next)].id))];
  };
  const auto consider = [&](std::int32_t left) {
    if (left < 0 || symbols[std::size_t(left)].next < 0) return;
    const Merge& merge = merge_at(left);
    if (merge.pair == kNoPair) return;
    heap.push_back({merge.rank, left, merge.merged});
    std::ranges::push_heap(heap, std::greater());
  };
  for (std::size_t i = 0; i < n; ++i) consider(static_cast<std::int32_t>(i));
  while (!heap.empty()) {
    std::ranges::pop_heap(heap, std::greater());
    const Scratch::Candidate best = heap.back();
    heap.pop_back();
    Scratch::Symbol& symbol = symbols[std::size_t(best.position)];
    if (symbol.id < 0 || symbol.next < 0) continue;
    const Merge& merge = merge_at(best.position);
    if (merge.pair == kNoPair || merge.merged != best.merged)
      continue;  // one of the two became another since
    symbols[std::size_t(symbol.next)].id = -1;
    symbol.next = symbols[std::size_t(symbol.next)].next;
    symbol.id = best.merged;
    if (symbol.next >= 0) symbols[std::size_t(symbol.next)].previous = best.position;
    consider(symbol.previous);
    consider(best.position);
  }
  for (const Scratch::Symbol& symbol : symbols)
    if (symbol.id >= 0) out.push_back(symbol.id);
}

/// Words of a text in normal form.
void ClipTokenizer::encode_words(std::string_view text, std::size_t limit, std::vector<std::int64_t>& out,
                                 Scratch& scratch) const {
  while (out.size() < limit) {
    const std::string_view word = take_word(text);
    if (word.empty()) return;
    if (word.starts_with("<|s") || word.starts_with("<|e")) {  // no run of signs does
      // <|endoftext|> that lower case made: byte-level encoding cuts a second time, without that word in its list.
      for (const std::string_view part :
           {word.substr(0, 2), word.substr(2, word.size() - 4), word.substr(word.size() - 2)})
        encode_word(part, out, scratch);
    } else {
      encode_word(word, out, scratch);
    }
  }
}

/// Calls on_text for what lies between added entries and on_id for these: the first, of those that begin together the
/// longest.
template <class OnText, class OnId>
void ClipTokenizer::split(std::string_view text, bool normalized, const OnText& on_text,
                          const OnId& on_id) const {
  std::size_t begin = 0, at = 0;
  while (at < text.size()) {
    const Added* longest = nullptr;
    if (begins_[normalized][static_cast<unsigned char>(text[at])])
      for (const Added& added : added_)
        if (added.normalized == normalized && text.substr(at).starts_with(added.found) &&
            (!longest || added.found.size() > longest->found.size()))
          longest = &added;
    if (!longest) {
      ++at;
      continue;
    }
    on_text(text.substr(begin, at - begin));
    on_id(longest->id);
    begin = at += longest->found.size();
  }
  on_text(text.substr(begin));
}

/// At least `limit` ids of the text, or all.
std::vector<std::int64_t> ClipTokenizer::first_ids(std::string_view text, std::size_t limit) const {
  check_utf8(text);
  std::vector<std::int64_t> out;
  Scratch scratch;
  const auto on_id = [&](std::int32_t id) { out.push_back(id); };
  const auto on_segment = [&](std::string_view segment) {
    if (segment.empty() || out.size() >= limit) return;
    const std::string normal = normal_form(segment);
    split(
        normal, true, [&](std::string_view words) { encode_words(words, limit, out, scratch); }, on_id);
  };
  split(text, false, on_segment, on_id);
  return out;
}

std::vector<std::int64_t> ClipTokenizer::ids(std::string_view text) const {
  return first_ids(text, std::numeric_limits<std::size_t>::max());
}

std::vector<std::int64_t> ClipTokenizer::encode(std::string_view text) const {
  const auto most = static_cast<std::size_t>(max_length_ - 2);
  std::vector<std::int64_t> out = first_ids(text, most);
  out.resize(std::min(out.size(), most));
  out.insert(out.begin(), bos_id_);
  out.push_back(eos_id_);
  out.resize(static_cast<std::size_t>(max_length_), pad_id_);
  return out;
}

ClipTokenizer ClipTokenizer::load(const fs::path& folder, std::optional<int> vocabulary) {
  ClipTokenizer made = ClipTokenizerReader(folder).read();
  if (vocabulary && *vocabulary != made.vocabulary())
    throw Error(concat(folder.string(), ": expected a vocabulary of ", *vocabulary, " entries, found ",
                       made.vocabulary()));
  return made;
}

ClipTokenizer ClipTokenizer::with_max_length(int max_length) const {
  require(max_length >= 2 && max_length <= kLongestPrompt, "max_length: expected a whole number in [2, ",
          kLongestPrompt, "], got ", max_length);
  ClipTokenizer made = *this;
  made.max_length_ = max_length;
  return made;
}

ClipTokenizer ClipTokenizer::learn(std::span<const std::string> texts, int most_merges, int max_length) {
  require(most_merges >= 0 && most_merges <= kMostLearned, "merges: expected a whole number in [0, ",
          kMostLearned, "], got ", most_merges);
  ClipTokenizer made;
  for (const bool at_end : {false, true})
    for (std::size_t byte = 0; byte < 256; ++byte) {
      made.bytes_[at_end][byte] = static_cast<std::int32_t>(made.texts_.size());
      append(made.texts_.emplace_back(), character_of(static_cast<unsigned char>(byte)));
      if (at_end) made.texts_.back() += kEndOfWord;
    }
  std::map<std::string, std::int64_t, std::less<>> counts;
  for (const std::string& text : texts) {
    check_utf8(text);
    const std::string normal = normal_form(text);
    std::string_view left = normal;
    for (std::string_view word = take_word(left); !word.empty(); word = take_word(left))
      ++counts.try_emplace(std::string(word)).first->second;
  }
  using Pair = std::pair<std::int32_t, std::int32_t>;
  std::vector<std::pair<std::vector<std::int32_t>, std::int64_t>> words;  // ids, and how often
  for (const auto& [word, count] : counts) {
    auto& ids = words.emplace_back(std::vector<std::int32_t>(), count).first;
    for (std::size_t i = 0; i < word.size(); ++i)
      ids.push_back(made.bytes_[i + 1 == word.size()][static_cast<unsigned char>(word[i])]);
  }
  std::unordered_map<std::string, std::int32_t> ids_of;
  std::vector<std::int32_t> merged;
  while (static_cast<int>(merged.size()) < most_merges) {
    std::map<Pair, std::int64_t> pairs;
    for (const auto& [ids, count] : words)
      for (std::size_t i = 1; i < ids.size(); ++i) pairs[{ids[i - 1], ids[i]}] += count;
    if (pairs.empty()) break;
    const Pair best =
        std::ranges::max_element(pairs, {}, [](const auto& entry) { return entry.second; })->first;
    const auto text = [&](std::int32_t part) { return made.texts_[static_cast<std::size_t>(part)]; };
    // Two pairs may be parts of one text.
    const auto [entry, is_new] = ids_of.try_emplace(text(best.first) + text(best.second),
                                                    static_cast<std::int32_t>(made.texts_.size()));
    const std::int32_t id = entry->second;
    if (is_new) made.texts_.push_back(entry->first);
    made.merges_.push_back(best);
    merged.push_back(id);
    for (auto& [ids, count] : words) {
      std::size_t kept = 0;
      for (std::size_t i = 0; i < ids.size(); ++i) {
        const bool both = i + 1 < ids.size() && ids[i] == best.first && ids[i + 1] == best.second;
        ids[kept++] = both ? id : ids[i];
        if (both) ++i;
      }
      ids.resize(kept);
    }
  }
  made.make_table(merged);
  made.bos_ = "<|startoftext|>";
  made.eos_ = made.pad_ = made.unknown_ = "<|endoftext|>";
  made.bos_id_ = static_cast<std::int64_t>(made.texts_.size());
  made.eos_id_ = made.pad_id_ = made.bos_id_ + 1;
  for (const std::string& special : {made.bos_, made.eos_}) {
    made.added_.push_back({special, special, static_cast<std::int32_t>(made.texts_.size()), false, true});
    made.begins_[false][static_cast<unsigned char>(special[0])] = true;
    made.texts_.push_back(special);
  }
  made.in_model_ = made.texts_.size();
  return made.with_max_length(max_length);
}

void ClipTokenizer::save(const fs::path& folder) const {
  if (is_there(folder / "tokenizer.json"))
    throw Error(concat(folder.string(),
                       ": expected a folder without tokenizer.json, which would be read instead, found one"));
  std::string vocabulary = "{", merges = "#version: 0.2\n";
  for (std::size_t id = 0; id < in_model_; ++id)
    vocabulary += concat(id == 0 ? "" : ", ", Json(texts_[id]).dump(), ": ", id);
  for (const auto& [left, right] : merges_)
    merges += texts_[std::size_t(left)] + ' ' + texts_[std::size_t(right)] + '\n';
  Json added = Json::object();
  for (const Added& entry : added_)
    added[std::to_string(entry.id)] = {{"content", entry.content},       {"lstrip", false},
                                       {"normalized", entry.normalized}, {"rstrip", false},
                                       {"single_word", false},           {"special", entry.special}};
  const Json config = {{"added_tokens_decoder", added},
                       {"bos_token", bos_},
                       {"eos_token", eos_},
                       {"model_max_length", max_length_},
                       {"pad_token", pad_},
                       {"tokenizer_class", "CLIPTokenizer"},
                       {"unk_token", unknown_}};
  write_file(folder / "vocab.json", vocabulary + "}");
  write_file(folder / "merges.txt", merges);
  write_file(folder / "tokenizer_config.json", config.dump(2) + "\n");
}

}  // namespace diffreward
