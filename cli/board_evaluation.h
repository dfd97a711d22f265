// What a board scores and how: agents, planners and rewards on a task's sealed streams, by the same functions as the
// stages of jobs.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "leaderboard/board.h"

namespace diffreward::cli {

/// A folder for what is made on the way; removed with everything in it. Throws Error where none can be made.
class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// Weights of the autoencoder of a pipeline, vae/ in its folder, which a reward of pictures reads latents of.
inline constexpr const char* kAutoencoder = "autoencoder";
/// The input that is the hash of config.json beside them.
inline constexpr const char* kAutoencoderConfig = "autoencoder.config";

/// What is scored: files by role ("agent", "model", "expert", "reward_0", "reward", "autoencoder"), and what of its config its
/// behaviour depends on.
///
///   agent      file agent; the policy's mode, a diffusion model's plans by `acting`
///   scripted   config policy and agents (ScriptedAgents); what they draw at random is another for each seed
///   planner    files model, expert or reward_0 ...; config: PlanConfig without files, environment and numbers
///   reward     file reward
///   image_reward  files reward and autoencoder, the latter where its pipeline has it
struct BoardSubject {
  std::string kind;
  Json config = Json::object();
  std::map<std::string, std::filesystem::path> files = {};
  std::uint64_t seed = 0;
};

/// The kind of tasks that a method of this kind is scored on.
std::string task_kind_of(const std::string& kind);

/// Throws InvalidArgument naming the task for a metric that its kind is not scored by.
void expect_metric(const BoardTask& task);

/// The score of every stream of the task's pool. `threads` changes no bit. Throws Error for a subject that cannot be
/// loaded or does not fit the task.
std::vector<BoardEpisode> evaluate_on(const BoardTask& task, const BoardSubject& subject, int threads);

/// The same for several reward tasks of one pool, whose recordings and evaluation are made once.
std::map<std::string, std::vector<BoardEpisode>> evaluate_on_all(const std::vector<BoardTask>& tasks,
                                                                 const BoardSubject& subject, int threads);

}  // namespace diffreward::cli
