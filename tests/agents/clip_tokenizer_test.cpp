#include "agents/stable_diffusion/clip_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "core/file.h"
#include "core/json.h"
#include "core/rng.h"
#include "tests/core/temporary_folder.h"

namespace diffreward {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Ids = std::vector<std::int64_t>;

// CLIP's first 1,000 merges and ids of transformers, written by tests/oracle/clip_tokenizer_goldens.py.
const fs::path kGoldens = fs::path(DIFFREWARD_SOURCE_DIR) / "tests/agents/clip_tokenizer";
constexpr std::int64_t kBos = 1512, kEos = 1513;

const ClipTokenizer& classic() {
  static const ClipTokenizer tokenizer = ClipTokenizer::load(kGoldens / "classic");
  return tokenizer;
}

Ids padded(Ids ids, std::int64_t pad = kEos) {
  ids.resize(77, pad);
  return ids;
}

/// A folder with the small tokenizer's files, to be changed.
class ClipTokenizerFiles : public ::testing::Test {
 protected:
  ClipTokenizerFiles() {
    for (const char* name : {"vocab.json", "merges.txt"})
      fs::copy_file(kGoldens / "classic" / name, folder_ / name);
  }
  void write(const std::string& name, const std::string& text) { write_bytes(folder_ / name, text); }
  void only_whole() {
    for (const char* name : {"vocab.json", "merges.txt"}) fs::remove(folder_ / name);
    fs::copy_file(kGoldens / "whole" / "tokenizer.json", folder_ / "tokenizer.json");
  }
  /// Replaces the first `from` in the file.
  void replace(const std::string& name, const std::string& from, const std::string& to) {
    std::string text = bytes_of(folder_ / name);
    ASSERT_NE(text.find(from), std::string::npos) << from;
    write(name, text.replace(text.find(from), from.size(), to));
  }
  ClipTokenizer load() const { return ClipTokenizer::load(folder_.path()); }
  std::string refusal() const {
    const std::string text = message_of<Error>([&] { load(); });
    EXPECT_THAT(text, HasSubstr(folder_.path().string()));
    EXPECT_LT(text.size(), 400u);
    return text;
  }
  TemporaryFolder folder_;
};

TEST(ClipTokenizer, LearnsTheWordsOfTexts) {
  const std::vector<std::string> texts = {"a knife and a cat", "A  Knife", "a cat's caf\u00e9", "cactus 12"};
  const ClipTokenizer learned = ClipTokenizer::learn(texts, 1000, 16);
  EXPECT_EQ(learned.max_length(), 16);
  const auto begin = static_cast<std::int64_t>(learned.vocabulary()) - 2;
  // Every word is one id, the same in upper case; a number is its digits, a sign its own.
  EXPECT_EQ(learned.ids("a knife and a cat").size(), 5u);
  EXPECT_EQ(learned.ids("KNIFE"), learned.ids("knife"));
  EXPECT_EQ(learned.ids("12").size(), 2u);
  EXPECT_EQ(learned.ids("cat's").size(), 2u);
  EXPECT_EQ(learned.encode("cat").front(), begin);
  EXPECT_EQ(learned.encode("cat").back(), begin + 1);
  // What was never seen is in pieces, down to bytes.
  EXPECT_EQ(learned.ids("zz").size(), 2u);
  EXPECT_GT(learned.ids("knives").size(), 1u);
  // By hand: of "aab aab ab" the pair (a, b</w>) has 3, (a, a) and (a, ab</w>) fewer.
  const std::vector<std::string> small = {"aab aab ab"};
  const ClipTokenizer two = ClipTokenizer::learn(small, 2);
  EXPECT_EQ(two.vocabulary(), 512 + 2 + 2);
  EXPECT_THAT(two.ids("ab"), ElementsAre(512));
  EXPECT_THAT(two.ids("aab"), ElementsAre(513));
  EXPECT_EQ(ClipTokenizer::learn(small, 1000).vocabulary(), 516) << "no word is left in pieces";
  EXPECT_THROW(ClipTokenizer::learn(small, -1), InvalidArgument);
  const std::vector<std::string> bytes = {"\xff"};
  EXPECT_THROW(ClipTokenizer::learn(bytes, 1), InvalidArgument);
}

TEST(ClipTokenizer, WhatItLearnsGoesThroughFiles) {
  // "abc" is made of (a, bc) in one word and of (ab, c) in another.
  const std::vector<std::string> texts = {"xbc xbc xbc xbc yab yab yab yabcz yabcz abcd abcd abcd"};
  const ClipTokenizer learned = ClipTokenizer::learn(texts, 1000, 20);
  const TemporaryFolder folder;
  learned.save(folder.path());
  const ClipTokenizer read = ClipTokenizer::load(folder.path());
  EXPECT_EQ(read.vocabulary(), learned.vocabulary());
  for (const std::string text : {"xbc yabcz abcd", "unseen words: caf\u00e9 <|endoftext|> 9"})
    EXPECT_EQ(read.encode(text), learned.encode(text)) << text;
}

TEST(ClipTokenizer, GivesTheIdsOfTransformers) {
  const ClipTokenizer whole = ClipTokenizer::load(kGoldens / "whole");
  EXPECT_EQ(classic().vocabulary(), 1514);
  EXPECT_EQ(whole.vocabulary(), 1514);
  EXPECT_EQ(whole.max_length(), 77);
  const Json cases = read_json_object(kGoldens / "prompts.json").at("cases");
  EXPECT_GT(cases.size(), 400u);
  int cut = 0;
  for (const Json& prompt : cases) {
    const auto text = prompt.at("text").get<std::string>();
    const Ids expected = padded(prompt.at("encoded").get<Ids>());
    EXPECT_EQ(classic().encode(text), expected) << prompt;
    EXPECT_EQ(whole.encode(text), expected) << prompt;
    if (!prompt.contains("ids")) continue;
    ++cut;
    EXPECT_EQ(classic().ids(text), prompt.at("ids").get<Ids>()) << prompt;
  }
  EXPECT_GT(cut, 20);
}

TEST(ClipTokenizer, FillsUpAndCutsOff) {
  EXPECT_EQ(classic().encode(""), padded({kBos, kEos}));
  const Ids one = classic().ids("a");
  ASSERT_EQ(one.size(), 1u);
  std::string text;
  for (int words = 1; words <= 80; ++words) {
    text += "a ";
    Ids expected{kBos};
    expected.insert(expected.end(), std::size_t(std::min(words, 75)), one[0]);
    expected.push_back(kEos);
    EXPECT_EQ(classic().encode(text), padded(expected)) << words;
    EXPECT_EQ(classic().ids(text).size(), std::size_t(words));
  }
}

TEST(ClipTokenizer, TakesAnotherLength) {
  const ClipTokenizer cut = classic().with_max_length(4);
  EXPECT_EQ(cut.max_length(), 4);
  const Ids a = classic().ids("a");
  EXPECT_THAT(cut.encode("a"), ElementsAre(kBos, a[0], kEos, classic().encode("").back()));
  EXPECT_THAT(cut.encode("a a a a"), ElementsAre(kBos, a[0], a[0], kEos));
  EXPECT_THAT(classic().with_max_length(2).encode("a"), ElementsAre(kBos, kEos));
  EXPECT_EQ(classic().max_length(), 77);
  EXPECT_EQ(message_of<InvalidArgument>([] { classic().with_max_length(1); }),
            "max_length: expected a whole number in [2, 1000000], got 1");
}

TEST(ClipTokenizer, TakesMarksOfTheBeginningAndTheEndLiterally) {
  const Ids a = classic().ids("a"), b = classic().ids("b");
  EXPECT_THAT(classic().ids("a<|endoftext|>b<|startoftext|>"), ElementsAre(a[0], kEos, b[0], kBos));
  const Ids upper = classic().ids("<|ENDOFTEXT|>");
  EXPECT_EQ(std::ranges::count(upper, kEos), 0);
}

TEST(ClipTokenizer, NamesTheByteThatIsNoUtf8) {
  const std::pair<std::string, int> texts[] = {{"\xff", 0},
                                               {"ab\x80", 2},
                                               {"ab\xc3", 2},
                                               {"é\xc3(", 2},
                                               {"a\xed\xa0\x80", 1},
                                               {"a\xc0\xaf", 1},
                                               {"\xe2\x82", 0},
                                               {"\xf0\x9f\x98", 0},
                                               {"a\xf4\x90\x80\x80", 1},
                                               {std::string("\0\xfe", 2), 1}};
  for (const auto& [text, place] : texts)
    EXPECT_THAT(message_of<InvalidArgument>([&, &text = text] { classic().encode(text); }),
                HasSubstr(concat("prompt: expected UTF-8, found other bytes at byte ", place)));
  // Also where the text would be cut before.
  EXPECT_THROW(classic().encode(std::string(10'000, '.') + "\xff"), InvalidArgument);
}

/// The pairs of a word joined one by one, as the paper says it.
std::vector<std::string> joined(const std::string& word,
                                const std::map<std::pair<std::string, std::string>, std::size_t>& ranks) {
  std::vector<std::string> parts;
  for (const char c : word) parts.emplace_back(1, c);
  parts.back() += "</w>";
  for (;;) {
    std::size_t best = ranks.size(), place = 0;
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto found = ranks.find({parts[i], parts[i + 1]});
      if (found != ranks.end() && found->second < best) best = found->second, place = i;
    }
    if (best == ranks.size()) return parts;
    parts[place] += parts[place + 1];
    parts.erase(parts.begin() + std::ptrdiff_t(place) + 1);
  }
}

TEST(ClipTokenizer, JoinsPairsInTheOrderOfTheirRanks) {
  std::map<std::pair<std::string, std::string>, std::size_t> ranks;
  std::istringstream lines(bytes_of(kGoldens / "classic/merges.txt"));
  std::string left, right;
  std::getline(lines, left);
  while (lines >> left >> right) ranks.try_emplace({left, right}, ranks.size());
  ASSERT_EQ(ranks.size(), 1000u);
  const Json vocabulary = read_json_object(kGoldens / "classic/vocab.json");
  Rng rng(3);
  for (int i = 0; i < 2000; ++i) {
    std::string word;
    for (std::size_t n = 1 + rng.below(i % 50 == 0 ? 300 : 12); n > 0; --n)
      word += "eeaatttoinshrl"[rng.below(14)];
    Ids expected;
    for (const std::string& part : joined(word, ranks)) expected.push_back(vocabulary.at(part));
    EXPECT_EQ(classic().ids(word), expected) << word;
  }
}

// Each would take hours in quadratic time.
TEST(ClipTokenizer, ReadsAMillionCharacters) {
  constexpr std::size_t kMany = 1'000'000;
  const Ids word = classic().ids("photo 7");
  std::string text;
  while (text.size() < kMany) text += "photo 7 ";
  const Ids all = classic().ids(text);
  ASSERT_EQ(all.size(), kMany / 8 * word.size());
  for (std::size_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i], word[i % word.size()]);
  EXPECT_EQ(classic().encode(text).size(), 77u);
  EXPECT_GT(classic().ids(std::string(kMany, 'a')).size(), kMany / 16);  // one word
  EXPECT_GT(classic().ids(std::string(kMany, '!')).size(), kMany / 64);
  EXPECT_EQ(classic().ids(std::string(kMany, '4')).size(), kMany);  // of each a word
  EXPECT_EQ(classic().ids(std::string(kMany, ' ')).size(), 0u);
  EXPECT_EQ(classic().ids(std::string(kMany, '<')).empty(), false);
  std::string marks = "a";  // in the order that is to be turned round
  for (std::size_t i = 0; i < kMany / 2; ++i) marks += "\u0301\u0316";
  EXPECT_GT(classic().ids(marks).size(), kMany / 2);
}

TEST_F(ClipTokenizerFiles, ComeBackFromDisk) {
  write("tokenizer_config.json",
        R"({"model_max_length": 20, "pad_token": "!", "bos_token": {"content": "<|startoftext|>"}})");
  write("added_tokens.json", R"({"<Cat>": 1514, "b c": 1515})");
  const ClipTokenizer first = load();
  EXPECT_EQ(first.vocabulary(), 1516);
  EXPECT_EQ(first.max_length(), 20);
  first.save(folder_ / "again");
  const ClipTokenizer second = ClipTokenizer::load(folder_ / "again", 1516);
  for (const char* text : {"a <cat>b C<|STARTOFTEXT|>! <|endoftext|>", "photo", ""}) {
    EXPECT_EQ(first.encode(text).size(), 20u);
    EXPECT_EQ(first.encode(text), second.encode(text)) << text;
  }
  EXPECT_THAT(first.ids("a <CAT>b C<|STARTOFTEXT|>!"),
              ElementsAre(classic().ids("a")[0], 1514, 1515, kBos, 0));
  EXPECT_EQ(first.encode("").back(), 0);
  second.save(folder_ / "again");
}

TEST_F(ClipTokenizerFiles, AreWrittenByteForByte) {
  const ClipTokenizer read = load();
  read.save(folder_ / "first");
  ClipTokenizer::load(folder_ / "first").save(folder_ / "second");
  for (const char* name : {"vocab.json", "merges.txt", "tokenizer_config.json"})
    EXPECT_EQ(bytes_of(folder_ / "first" / name), bytes_of(folder_ / "second" / name)) << name;
  EXPECT_EQ(read_json_object(folder_ / "first/tokenizer_config.json").at("model_max_length"), 77);
  EXPECT_EQ(bytes_of(folder_ / "first/merges.txt"), bytes_of(folder_ / "merges.txt"));
  fs::copy_file(kGoldens / "whole/tokenizer.json", folder_ / "first/tokenizer.json");
  EXPECT_THAT(message_of<Error>([&] { read.save(folder_ / "first"); }),
              HasSubstr("expected a folder without tokenizer.json"));
}

TEST_F(ClipTokenizerFiles, MayHoldUnknownBytes) {
  write("vocab.json",
        R"({"<|startoftext|>": 0, "<|endoftext|>": 1, "a": 2, "b": 3, "b</w>": 4, "ab</w>": 5})");
  write("merges.txt", "#version: 0.2\r\na b</w>\r\n");
  EXPECT_THAT(load().ids("ab aab azb zz"), ElementsAre(5, 2, 5, 2, 1, 4, 1, 1));
  write("tokenizer_config.json", R"({"unk_token": "a"})");
  EXPECT_THAT(load().ids("zb"), ElementsAre(5));  // joins as what it stands for
}

TEST_F(ClipTokenizerFiles, PreferTheWhole) {
  fs::copy_file(kGoldens / "whole/tokenizer.json", folder_ / "tokenizer.json");
  write("vocab.json", "damaged");
  EXPECT_EQ(load().encode("photo"), classic().encode("photo"));
}

TEST_F(ClipTokenizerFiles, MayHaveOldMerges) {
  only_whole();
  std::string text = bytes_of(folder_ / "tokenizer.json");
  LargeJson json = parse_large_json(text, "x");
  for (LargeJson& merge : json["model"]["merges"])
    merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  write("tokenizer.json", json.dump());
  EXPECT_EQ(load().encode("a photo of"), classic().encode("a photo of"));
}

TEST_F(ClipTokenizerFiles, AreRefusedWhereTheyAreMissingOrDamaged) {
  EXPECT_THAT(message_of<Error>([&] { ClipTokenizer::load(folder_.path(), 49408); }),
              HasSubstr("expected a vocabulary of 49408 entries, found 1514"));
  const std::string vocabulary = bytes_of(folder_ / "vocab.json"), merges = bytes_of(folder_ / "merges.txt");
  const auto vocabulary_refusal = [&](const std::string& from, const std::string& to) {
    replace("vocab.json", from, to);
    const std::string text = refusal();
    EXPECT_THAT(text, HasSubstr("vocab.json: "));
    write("vocab.json", vocabulary);
    return text;
  };
  EXPECT_THAT(vocabulary_refusal("{", "["), HasSubstr("expected JSON"));
  EXPECT_THAT(vocabulary_refusal("{", "[] {"), HasSubstr("expected JSON"));
  EXPECT_THAT(vocabulary_refusal(": 7,", ": 8,"), HasSubstr("expected an id of its own, found 8, that of"));
  EXPECT_THAT(vocabulary_refusal(": 7,", ": 9999,"),
              HasSubstr("expected an id below the number of entries, 1514, found 9999"));
  EXPECT_THAT(vocabulary_refusal(": 7,", ": -1,"), HasSubstr("found -1"));
  EXPECT_THAT(vocabulary_refusal(": 7,", ": 7.0,"), HasSubstr("found 7.0"));
  EXPECT_THAT(vocabulary_refusal(": 7,", ": {\"a\": [7]},"), HasSubstr("found a JSON object"));
  write("vocab.json", "[1, 2]");
  EXPECT_THAT(refusal(), HasSubstr("expected a JSON object, found a JSON array"));
  write("vocab.json", R"({"a": 0})");
  EXPECT_THAT(refusal(), HasSubstr("merges.txt: line 2: expected entries of the vocabulary, found \"i\""));
  write("vocab.json", vocabulary);

  write("merges.txt", "#version: 0.2\ni n\nt h e\n");
  EXPECT_THAT(
      refusal(),
      HasSubstr("merges.txt: line 3: expected two entries and a space between them, found \"t h e\""));
  write("merges.txt", "i n\n\nt h\n");
  EXPECT_THAT(refusal(), HasSubstr("line 2: expected two entries and a space between them, found \"\""));
  write("merges.txt", "\"bpe_simple_vocab_16e6.txt#version: 0.2\ni n\n");  // CLIP's own first line
  EXPECT_THAT(refusal(), HasSubstr("line 1: expected entries of the vocabulary"));
  write("merges.txt", "q q\n");
  EXPECT_THAT(refusal(), HasSubstr("expected entries of the vocabulary, found \"qq\""));
  fs::remove(folder_ / "merges.txt");
  EXPECT_THAT(refusal(), HasSubstr("merges.txt: cannot read: No such file"));
  fs::remove(folder_ / "vocab.json");
  EXPECT_THAT(refusal(), HasSubstr("expected vocab.json and merges.txt, or tokenizer.json, found neither"));
  write("merges.txt", merges);
  EXPECT_THAT(refusal(), HasSubstr("vocab.json: cannot read: No such file"));
}

TEST_F(ClipTokenizerFiles, AreRefusedWhereTheyMeanAnotherTokenizer) {
  const std::pair<const char*, const char*> settings[] = {
      {R"({"model_max_length": 1})", "model_max_length: expected a whole number in [2, 1000000], found 1"},
      {R"({"model_max_length": 77.5})", "found 77.5"},
      {R"({"model_max_length": "77"})", "found \"77\""},
      {R"({"truncation_side": "left"})", "truncation_side: expected \"right\", found \"left\""},
      {R"({"padding_side": "left"})", "padding_side: expected \"right\""},
      {R"({"split_special_tokens": true})", "split_special_tokens: expected false"},
      {R"({"pad_token": "<|pad|>"})", "expected an entry of the vocabulary"},
      {R"({"pad_token": null})", "pad_token: expected the text of an entry, found null"},
      {R"({"cls_token": "<cls>"})", "cls_token: expected one of the added tokens, found \"<cls>\""},
      {R"({"eos_token": {"content": "<|endoftext|>", "rstrip": true}})",
       "rstrip: expected false, found true"},
      {R"({"added_tokens_decoder": {"5": {"content": "<new>"}}})",
       "\"<new>\": expected the id 1514, found 5"},
      {R"({"added_tokens_decoder": {"x": {"content": "<new>"}}})", "expected ids, found \"x\""},
      {R"({"added_tokens_decoder": {"1514": {"content": ""}}})", "expected texts, found an empty one"},
      {R"({"added_tokens_decoder": 3})", "added_tokens_decoder: expected a JSON object, found 3"},
      {"[]", "expected a JSON object"},
      {"{", "expected JSON"}};
  for (const auto& [text, message] : settings) {
    write("tokenizer_config.json", text);
    EXPECT_THAT(refusal(), ::testing::AllOf(HasSubstr("tokenizer_config.json: "), HasSubstr(message)))
        << text;
  }
  write("tokenizer_config.json", R"({"model_max_length": 1000000000000000019884624838656})");
  EXPECT_EQ(load().max_length(), 77);  // no limit was said
  write("special_tokens_map.json", R"({"bos_token": {"content": 3}})");
  EXPECT_THAT(refusal(), HasSubstr("special_tokens_map.json: bos_token: expected the text of an entry"));
  fs::remove(folder_ / "special_tokens_map.json");
  write("added_tokens.json", R"({"<new>": "1514"})");
  EXPECT_THAT(refusal(), HasSubstr("added_tokens.json: added tokens: \"<new>\": expected an id"));
  fs::remove(folder_ / "added_tokens.json");

  only_whole();
  const std::string whole = bytes_of(folder_ / "tokenizer.json");
  const std::tuple<const char*, const char*, const char*> changes[] = {
      {R"("type": "BPE")", R"("type": "Unigram")", "model.type: expected \"BPE\", found \"Unigram\""},
      {R"("end_of_word_suffix": "</w>")", R"("end_of_word_suffix": null)",
       "model.end_of_word_suffix: expected \"</w>\", found null"},
      {R"("model": )", R"("model": 1, "other": )", "model: expected a JSON object, found 1"},
      {R"("vocab": )", R"("vocab": [], "other": )", "model.vocab: expected entries and their ids"},
      {R"("merges": )", R"("merges": 4, "other": )", "model.merges: expected a list, found 4"},
      {R"("merges": [)", R"("merges": [["i"], )",
       "model.merges: item 0: expected two entries, found a JSON array"},
      {R"("added_tokens": [)", R"("added_tokens": [7, )",
       "added_tokens: expected the text of an entry, found 7"}};
  for (const auto& [from, to, message] : changes) {
    replace("tokenizer.json", from, to);
    EXPECT_THAT(refusal(), ::testing::AllOf(HasSubstr("tokenizer.json: "), HasSubstr(message))) << to;
    write("tokenizer.json", whole);
  }
}

}  // namespace
}  // namespace diffreward
