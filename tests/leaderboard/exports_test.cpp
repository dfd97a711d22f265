#include "leaderboard/exports.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "agents/nets/training_log.h"
#include "core/csv.h"
#include "core/file.h"
#include "core/hash.h"
#include "leaderboard/board_page.h"
#include "leaderboard/imports.h"
#include "leaderboard/yaml.h"
#include "tests/core/temporary_folder.h"
#include "tests/leaderboard/submissions.h"

namespace diffreward {
namespace {

using testing::HasSubstr;
using testing::Not;

class ExportsTest : public testing::Test {
 protected:
  ExportsTest() : board_(Board::create(folder_ / "board.sqlite", {{.name = "s/a"}, {.name = "s/b"}})) {}

  void submit(const std::string& name, const std::vector<double>& scores = {0.25, 0.5, 1.0 / 3}) {
    board_.submit(method_of(name, {"s/a", "s/b"}, scores));
  }
  std::string file(const std::string& name, const std::string& text) {
    write_file(folder_ / name, text);
    return (folder_ / name).string();
  }

  TemporaryFolder folder_;
  Board board_;
};

TEST_F(ExportsTest, JsonMakesAnEqualBoard) {
  for (const std::string& name : hostile_names()) submit(name);
  submit("failed", {0.1, std::nan("")});
  submit("gone");
  board_.retract(board_.entry("gone").id, std::nullopt, "why not");
  // A run that was taken back, and its second attempt.
  submit("again", {0.5});
  for (const BoardRun& run : board_.runs(board_.entry("again").id))
    board_.retract(run.entry_id, run.id, "wrong");
  submit("again", {0.75});
  const std::string text = board_json(board_).dump();
  Board other = Board::create(folder_ / "other.sqlite", {});
  import_results(other, file("board.json", text), {});
  const auto comparable = [](const Board& board) {
    Json json = board_json(board);
    json.erase("head");
    for (Json& entry : json["entries"]) {
      entry.erase("created");
      for (Json& run : entry["runs"]) run.erase("run");
      std::vector<Json> runs = entry["runs"];
      std::sort(runs.begin(), runs.end(), [](const Json& a, const Json& b) { return a.dump() < b.dump(); });
      entry["runs"] = runs;
    }
    return json;
  };
  EXPECT_EQ(comparable(other), comparable(board_));
  EXPECT_THAT(other.check().faults, testing::IsEmpty());
  const std::string head = other.head();
  import_results(other, folder_ / "board.json", {});
  EXPECT_EQ(other.head(), head) << "once is enough";
}

TEST_F(ExportsTest, AnotherBoardTakesBackOnlyWhatCameFromIt) {
  submit("ours", {0.5, 0.75});
  submit("partly", {0.5, 0.75});
  write_file(folder_ / "before.json", board_json(board_).dump());
  Board other = Board::create(folder_ / "other.sqlite", {});
  import_results(other, folder_ / "before.json", {});
  other.retract(other.entry("ours").id, std::nullopt, "they say");
  other.retract(other.entry("partly").id, other.runs(other.entry("partly").id)[0].id, "they say");
  other.submit({.entry = {.name = "theirs"}, .runs = {{.task = "s/a", .episodes = {{0, 1, 1}}}}});
  other.retract(other.entry("theirs").id, std::nullopt, "a mistake");
  write_file(folder_ / "after.json", board_json(other).dump());
  std::vector<std::string> told;
  for (const BoardReceipt& receipt : import_results(board_, folder_ / "after.json", {}))
    told.insert(told.end(), receipt.left_out.begin(), receipt.left_out.end());
  EXPECT_FALSE(board_.entry("ours").retracted);
  for (const char* name : {"ours", "partly"})
    for (const BoardRun& run : board_.runs(board_.entry(name).id)) EXPECT_FALSE(run.retracted) << name;
  EXPECT_EQ(board_.entry("theirs").retracted, "a mistake");
  EXPECT_THAT(told, testing::Contains(HasSubstr("ours: retracted on the other board (they say), not here")));
  EXPECT_THAT(told, testing::Contains(HasSubstr("partly: s/a, seed 0: retracted on the other board")));
}

TEST_F(ExportsTest, AnImportIsAllOrNothing) {
  submit("ours", {0.5});
  Json json = board_json(board_);
  json["entries"].push_back(json["entries"][0]);
  json["entries"][1]["name"] = "second";
  json["entries"][1]["kind"] = "no kind";
  json["entries"][0]["name"] = "first";
  const std::string head = board_.head();
  EXPECT_THROW(import_results(board_, file("bad.json", json.dump()), {}), Error);
  EXPECT_EQ(board_.head(), head);
}

TEST_F(ExportsTest, CsvComesBackAndHoldsNoFormula) {
  for (const std::string& name : hostile_names()) submit(name, {-0.5});
  const std::string text = board_csv(board_);
  const std::vector<CsvRow> rows = read_csv(text, "board.csv", {"name", "score", "command"});
  ASSERT_EQ(rows.size(), 2 * hostile_names().size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(from_csv_text(rows[i].cells[0]), hostile_names()[i / 2]);
    EXPECT_EQ(from_csv_text(rows[i].cells[2]), hostile_names()[i / 2]);
    EXPECT_EQ(rows[i].cells[1], "-0.5");
    const char first = rows[i].cells[0].front();
    EXPECT_EQ(std::string_view("=+-@\t\r").find(first), std::string_view::npos)
        << rows[i].cells[0].substr(0, 20);
  }
  EXPECT_EQ(text.find('\0'), std::string::npos);
}

TEST_F(ExportsTest, MarkdownShowsNamesAsTheyAre) {
  for (const std::string& name : hostile_names()) submit(name);
  StandingsConfig config;
  config.statistics.resamples = 100;
  const std::string text = board_markdown(standings(board_, config));
  EXPECT_THAT(text, Not(HasSubstr("![x](")));
  EXPECT_THAT(text, Not(HasSubstr("<script")));
  EXPECT_THAT(text, Not(HasSubstr("<img")));
  EXPECT_THAT(text, Not(HasSubstr("\xE2\x80\xAE")));
  EXPECT_THAT(text, HasSubstr("a\\|b c"));
  const auto lines = std::count(text.begin(), text.end(), '\n');
  EXPECT_EQ(lines, std::ptrdiff_t(4 + hostile_names().size()));
}

TEST_F(ExportsTest, CardsAreReadAgain) {
  for (const std::string& name : hostile_names()) {
    submit(name, {0.25, 0.75});
    const std::string card = model_card(board_, board_.entry(std::to_string(board_.entries().back().id)));
    Board other = Board::create(folder_ / concat("card_", board_.entries().size(), ".sqlite"), {});
    import_results(other, file("README.md", card), {});
    ASSERT_EQ(other.entries().size(), 1u);
    EXPECT_EQ(other.entries()[0].name, name);
    EXPECT_EQ(other.runs()[0].score, 0.5);
    EXPECT_EQ(other.entries()[0].imported_from, "README.md");
  }
}

TEST_F(ExportsTest, ThePageIsWholeAndSafe) {
  for (const std::string& name : hostile_names()) submit(name);
  submit("failed", {0.1, std::nan("")});
  StandingsConfig config;
  config.statistics.resamples = 100;
  const std::string page = board_page(board_, standings(board_, config), "Board");
  EXPECT_THAT(page, Not(HasSubstr("<script>alert")));
  EXPECT_THAT(page, Not(HasSubstr("<img src=x")));
  EXPECT_EQ(page.find('\0'), std::string::npos);
  EXPECT_THAT(page, Not(HasSubstr("src=\"http")));
  EXPECT_THAT(page, HasSubstr("script-src 'sha256-"));
  EXPECT_THAT(page, HasSubstr("unranked"));
  EXPECT_THAT(page, HasSubstr("diffreward board verify 1"));
  EXPECT_THAT(page, HasSubstr(board_.head()));
}

TEST_F(ExportsTest, AMethodOfTwoSuitesIsOne) {
  board_.add_task({.name = "other/c"});
  board_.submit(method_of("a", {"s/a", "s/b", "other/c"}, {0.25, 0.5}));
  StandingsConfig config;
  config.statistics.resamples = 100;
  const std::string page = board_page(board_, standings(board_, config), "Board");
  EXPECT_THAT(page, HasSubstr("<dt>Methods</dt><dd class=\"value\">1</dd>"));
  EXPECT_THAT(page, HasSubstr("<dt>Runs</dt><dd class=\"value\">6</dd>"));
  EXPECT_THAT(page, Not(HasSubstr("<img")));

  const RowPictures pictures = {{1, {{"where it is <brightest>", Image{1, 1, {9, 9, 9}}}}}};
  const std::string shown = board_page(board_, standings(board_, config), "Board", pictures);
  const std::size_t at = shown.find("<img ");
  ASSERT_NE(at, std::string::npos);
  EXPECT_EQ(shown.find("<img ", at + 1), std::string::npos) << "once, though the row stands in two suites";
  EXPECT_THAT(shown.substr(at), HasSubstr("alt=\"where it is &lt;brightest&gt;\""));
}

TEST_F(ExportsTest, ScoreMatricesBecomeUnverifiableRows) {
  const std::string path =
      file("atari.json", R"({"DQN": [[0.1, 0.2], [0.3, null]], "IQN": [[1, 2], [3, 4]]})");
  ASSERT_EQ(import_results(board_, path, {.tasks = {"Pong", "Breakout"}}).size(), 2u);
  const BoardEntry dqn = board_.entry("DQN");
  EXPECT_EQ(dqn.imported_from, "atari.json");
  const std::vector<BoardRun> runs = board_.runs(dqn.id);
  ASSERT_EQ(runs.size(), 4u);
  EXPECT_EQ(runs[1].task, "atari/Breakout");
  EXPECT_EQ(runs[1].score, 0.2);
  EXPECT_TRUE(runs[3].failed());
  EXPECT_EQ(checked_of(dqn, runs, {}), Checked::kImported);
  EXPECT_THAT(
      message_of<Error>([&] { import_results(board_, file("x.json", R"({"a": [[1, 2], [3]]})"), {}); }),
      HasSubstr("a, run 1: expected 2 scores, found 1"));
  EXPECT_THAT(message_of<Error>([&] { import_results(board_, file("x.json", R"({"a": [["b"]]})"), {}); }),
              HasSubstr("found string"));
  EXPECT_THAT(message_of<Error>([&] { import_results(board_, file("x.json", "{}"), {}); }),
              HasSubstr("found none"));
}

TEST_F(ExportsTest, CurvesEndInScores) {
  const std::string path =
      file("curves.csv",
           "seed,step,value,method\n0,20,3,PPO\n0,10,1,PPO\n0,30,5,PPO\n1,10,7,PPO\n0,10,2,\"=SAC, 2\"\n");
  const ImportConfig config{.columns = {"method", "", "seed", "step", "value"}, .norm_high = 10, .last = 2};
  import_results(board_, path, config);
  const std::vector<BoardRun> runs = board_.runs(board_.entry("PPO").id);
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_EQ(runs[0].score, 4) << "mean of the last two by step";
  EXPECT_EQ(runs[1].score, 7);
  EXPECT_EQ(runs[1].train_seed, 1u);
  EXPECT_EQ(board_.entry("=SAC, 2").name, "=SAC, 2");
  EXPECT_THAT(message_of<Error>([&] {
                import_results(board_, file("b.csv", "method,seed,step,value\na,0,1,x\n"), config);
              }),
              HasSubstr("b.csv: line 2: expected a number, found 'x'"));
}

TEST_F(ExportsTest, CellsOfOthersAreTakenAsTheyAre) {
  const std::string path =
      file("others.csv", "method,task,seed,step,value\n'PPO\\x41,a,0,0,1\nC:\\xzz,a,0,0,2\n");
  import_results(board_, path, {.columns = {"method", "task", "seed", "step", "value"}});
  EXPECT_EQ(board_.entries()[0].name, "'PPO\\x41");
  EXPECT_EQ(board_.entries()[1].name, "C:\\xzz");
  EXPECT_EQ(from_csv_text("\\xzz"), "xzz");
  EXPECT_EQ(from_csv_text("\\x41"), "A");
}

TEST_F(ExportsTest, TensorboardFilesOfOneFolderAreOneCurve) {
  const auto events = [&](const std::string& name, const std::string& line) {
    std::filesystem::create_directories(folder_ / "made");
    write_file(folder_ / "metrics.jsonl", line + "\n");
    const std::filesystem::path made = write_tensorboard(folder_ / "metrics.jsonl", folder_ / "made");
    std::filesystem::create_directories((folder_ / name).parent_path());
    std::filesystem::rename(made, folder_ / name);
  };
  events("runs/PPO/1.tfevents", R"({"step": 1, "reward": 0.5})");
  events("runs/PPO/2.tfevents", R"({"step": 2, "reward": 0.75})");
  events("runs/PPO/3.tfevents", R"({"step": 3, "loss": 9})");
  events("runs/PPO/eval/1.tfevents", R"({"step": 3, "loss": 9})");
  import_results(board_, folder_ / "runs", {.suite = "tb", .tag = "reward"});
  const std::vector<BoardRun> runs = board_.runs();
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].score, 0.75);
  EXPECT_EQ(runs[0].train_seed, 0u);
  EXPECT_THAT(
      message_of<Error>([&] { import_results(board_, folder_ / "runs", {.suite = "tb", .tag = "rewards"}); }),
      HasSubstr("did you mean 'reward'"));
}

TEST_F(ExportsTest, TheGapsArrowPointsDownAndImportedRowsCannotBeRunAgain) {
  import_results(board_, file("atari.json", R"({"DQN": [[0.1, 0.2], [0.3, 0.4]]})"), {});
  StandingsConfig config;
  config.statistics.resamples = 100;
  EXPECT_THAT(board_page(board_, standings(board_, config), "Board"), HasSubstr("score ↑"));
  config.statistics.aggregate = "optimality_gap";
  const std::string page = board_page(board_, standings(board_, config), "Board");
  EXPECT_THAT(page, HasSubstr("score ↓"));
  EXPECT_THAT(page, Not(HasSubstr("diffreward board verify")));
}

TEST_F(ExportsTest, TensorboardFilesAreRead) {
  std::filesystem::create_directories(folder_ / "runs/PPO");
  write_file(folder_ / "metrics.jsonl", "{\"step\": 1, \"reward\": 0.5}\n{\"step\": 2, \"reward\": 0.75}\n");
  const std::filesystem::path events = write_tensorboard(folder_ / "metrics.jsonl", folder_ / "runs/PPO");
  const std::vector<CurvePoint> curve = read_tensorboard(events, "reward");
  ASSERT_EQ(curve.size(), 2u);
  EXPECT_EQ(curve[1].step, 2);
  EXPECT_EQ(curve[1].value, 0.75);
  import_results(board_, folder_ / "runs", {.suite = "tb", .tag = "reward"});
  EXPECT_EQ(board_.runs(board_.entry("PPO").id)[0].score, 0.75);
  EXPECT_THAT(message_of<Error>([&] { (void)read_tensorboard(events, "rewards"); }),
              HasSubstr("did you mean 'reward'"));
  const std::string bytes = bytes_of(events);
  for (std::size_t size = 0; size < bytes.size(); ++size) {  // cut anywhere: points, or one line
    write_bytes(folder_ / "cut.tfevents", bytes.substr(0, size));
    try {
      EXPECT_LE(read_tensorboard(folder_ / "cut.tfevents", "reward").size(), 2u);
    } catch (const Error&) {
    }
  }
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(~damaged[at]);
    write_bytes(folder_ / "damaged.tfevents", damaged);
    try {
      (void)read_tensorboard(folder_ / "damaged.tfevents", "reward");
    } catch (const Error&) {
    }
  }
}

TEST_F(ExportsTest, TheHubsModelIndexIsRead) {
  const std::string path =
      file("card.json", R"({"cardData": {"model-index": [{"name": "PPO", "results": [{"task": {"type":
    "reinforcement-learning"}, "dataset": {"name": "CartPole-v1", "type": "CartPole-v1"}, "metrics": [{"type": "mean_reward",
    "value": "475.5 +/- 18.06"}]}]}]}})");
  import_results(board_, path, {});
  EXPECT_EQ(board_.runs(board_.entry("PPO").id)[0].score, 475.5);
  EXPECT_THAT(
      message_of<Error>([&] { import_results(board_, file("card.md", "---\nlicense: mit\n---\n"), {}); }),
      HasSubstr("expected a model-index"));
  EXPECT_THAT(message_of<Error>(
                  [&] { import_results(board_, file("c.json", R"({"model-index": [{"name": 1}]})"), {}); }),
              HasSubstr("c.json: name: expected a text"));
}

const char* const kBlockCard = R"(---
library_name: stable-baselines3
tags: [Hopper-v3, deep-reinforcement-learning]
model-index:
- name: PPO
  results:
  - metrics:
    - type: mean_reward
      value: 2410.11 +/- 9.86
      name: mean_reward
    task: {type: reinforcement-learning, name: reinforcement-learning}
    dataset:
      name: Hopper-v3
      type: Hopper-v3
- name: "1.0"
  results:
  - {dataset: {name: 'a: b', type: x}, metrics: [{type: success, value: 0.5}]}
---

# A card
)";

TEST_F(ExportsTest, CardsInYamlOfEitherStyleAreRead) {
  import_results(board_, file("card.md", kBlockCard), {});
  EXPECT_EQ(board_.runs(board_.entry("PPO").id)[0].score, 2410.11);
  const BoardRun flow = board_.runs(board_.entry("1.0").id)[0];
  EXPECT_EQ(flow.task, "card/a: b/success");
  EXPECT_EQ(flow.score, 0.5);
  std::string windows = kBlockCard;
  for (std::size_t at = 0; (at = windows.find('\n', at)) != std::string::npos; at += 2)
    windows.replace(at, 1, "\r\n");
  Board other = Board::create(folder_ / "other.sqlite", {});
  EXPECT_EQ(import_results(other, file("windows.md", windows), {}).size(), 2u);

  const auto refused = [&](const std::string& front) {
    return message_of<Error>([&] { import_results(board_, file("c.md", "---\n" + front + "\n---\n"), {}); });
  };
  EXPECT_THAT(refused("model-index: [a: b"), HasSubstr("c.md: line"));
  EXPECT_THAT(refused("model-index:\n- name: 1\n  results: []"), HasSubstr("name: expected a text"));
  EXPECT_THAT(refused("a: 1\na: 2"), HasSubstr("line 2: expected each key once, found two of a"));
  EXPECT_THAT(refused("? [a]\n: 1"), HasSubstr("expected keys that are texts"));
  EXPECT_THAT(refused(std::string(100'000, '[')), HasSubstr("c.md: "));
  EXPECT_THAT(refused("a: " + std::string(100, '[') + std::string(100, ']')), HasSubstr("at most 64 levels"));
  EXPECT_THAT(refused("a: &x [*x]"), HasSubstr("at most 64 levels"));
  std::string laughs = "l0: &l0 [x, x, x, x, x, x, x, x, x, x]";
  for (int i = 1; i < 10; ++i) {
    laughs += concat("\nl", i, ": &l", i, " [");
    for (int k = 0; k < 10; ++k) laughs += concat("*l", i - 1, ", ");
    laughs += "]";
  }
  EXPECT_THAT(refused(laughs), HasSubstr("at most 100000 values"));
  EXPECT_THAT(refused("a: " + std::string(kMostYaml, 'x')), HasSubstr("bytes of YAML"));
}

TEST_F(ExportsTest, PlainWordsOfYamlAreWhatTheySay) {
  const Json json = parse_yaml(
      "{a: 1, b: -2.5e3, c: '1', d: true, e: ~, f: 3 apples, g: inf, h: !!str 4, i: 12345678901234567890}",
      "x");
  EXPECT_EQ(json, (Json{{"a", 1},
                        {"b", -2500.0},
                        {"c", "1"},
                        {"d", true},
                        {"e", nullptr},
                        {"f", "3 apples"},
                        {"g", "inf"},
                        {"h", "4"},
                        {"i", 12345678901234567890.0}}));
}

TEST_F(ExportsTest, DamagedCardsAreRefusedInOneLine) {
  const std::string whole = kBlockCard, front = whole.substr(0, whole.rfind("---"));
  int refused = 0;
  for (std::size_t at = 0; at < front.size(); at += 2)
    for (const std::string& card : {whole.substr(0, at), whole.substr(0, at) + "\x80" + whole.substr(at + 1),
                                    whole.substr(0, at) + "&*{[\"" + whole.substr(at)}) {
      const std::string head = board_.head();
      try {
        import_results(board_, file("card.md", card), {});
      } catch (const Error& error) {
        ++refused;
        EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
        EXPECT_EQ(board_.head(), head) << "all or nothing";
      }
    }
  EXPECT_GT(refused, 200);
}

TEST_F(ExportsTest, RowsTellWhichDataTheyLearnedFrom) {
  const std::string path = file("offline.json", R"({"BC": [[0.5]]})");
  import_results(board_, path, {.data = {"D4RL/pointmaze/umaze-v2", "mujoco/hopper/expert"}});
  import_results(board_, path, {.suite = "other", .data = {"D4RL/pointmaze/large-v2"}});
  ASSERT_EQ(board_.entries().size(), 2u) << "the same method on other data is another row";
  EXPECT_EQ(board_.entries()[0].config.at("data"),
            Json({"D4RL/pointmaze/umaze-v2", "mujoco/hopper/expert-v0"}));
  StandingsConfig config;
  config.statistics.resamples = 100;
  EXPECT_THAT(board_page(board_, standings(board_, config), "Board"),
              HasSubstr("data <code>D4RL/pointmaze/large-v2"));
  EXPECT_THAT(message_of<InvalidArgument>([&] { import_results(board_, path, {.data = {"../x"}}); }),
              HasSubstr("expected an id such as"));
  EXPECT_THAT(message_of<Error>([&] { import_results(board_, folder_ / "scores.npz", {}); }),
              HasSubstr("are read from Python"));
}

TEST_F(ExportsTest, OtherFormatsOfABoardAreRefused) {
  EXPECT_THAT(message_of<Error>(
                  [&] { import_results(board_, file("b.json", R"({"format": "diffreward-board-9"})"), {}); }),
              HasSubstr("expected diffreward-board-1"));
  EXPECT_THAT(message_of<Error>(
                  [&] { import_results(board_, file("b.json", R"({"format": "diffreward-board-1"})"), {}); }),
              HasSubstr("machines: expected a value, found nothing"));
}

}  // namespace
}  // namespace diffreward
