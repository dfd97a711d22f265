// diffreward._chain: the commands as functions, diffusion models, trained agents. Links LibTorch, and is
// loaded when one of them is first used.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>
#include <torch/torch.h>

#include <atomic>
#include <iostream>
#include <limits>
#include <mutex>
#include <thread>

#include "agents/catalog.h"
#include "agents/device.h"
#include "agents/diffusion/diffusion_model.h"
#include "bindings/interruptible.h"
#include "bindings/module.h"
#include "bindings/own.h"
#include "bindings/tensors.h"
#include "cli/command.h"
#include "cli/stages.h"
#include "core/interrupt.h"
#include "core/progress.h"
#include "envs/catalog.h"
#include "envs/maze2d/maze2d.h"
#include "rewards/catalog.h"
#include "rewards/evaluate/heatmap.h"
#include "rewards/relative/sample_source.h"

namespace diffreward::python {
namespace {

namespace py = pybind11;

using Doubles = py::array_t<double, py::array::c_style | py::array::forcecast>;

std::string describe_commands() {
  Json list = Json::array();
  for (const cli::Command& command : cli::commands()) {
    Json fields = Json::array();
    for (const FieldInfo& field : command.fields())
      fields.push_back({{"name", field.name},
                        {"kind", field.kind},
                        {"help", field.help},
                        {"default", field.value},
                        {"choices", field.choices}});
    list.push_back({{"name", command.name},
                    {"summary", command.summary},
                    {"details", command.details},
                    {"required", command.required},
                    {"stage", command.stage != nullptr},
                    {"fields", fields}});
  }
  return list.dump();
}

std::string run_command(const std::string& name, const std::string& config, bool progress) {
  const cli::Command& command = cli::find_command(name);
  const Json values = expand_names(parse_json(config, name), command.fields());
  Progress::silence(!progress);
  return interruptible([&] { return command.run(values).dump(); });
}

/// The native program: its signal handlers, its output, its exit code.
int run_cli(const std::vector<std::string>& args) {
  const py::gil_scoped_release unlocked;
  catch_interrupts();
  return cli::run_cli(args, std::cout, std::cerr);
}

/// Windows as a tensor, which shares memory with x; `rows` 0: any number of them.
at::Tensor windows_tensor(const Floats& x, const WindowLayout& layout, int rows, const char* what) {
  require(x.ndim() == 3 && (rows == 0 ? x.shape(1) > 0 : x.shape(1) == rows) && x.shape(2) == layout.width(),
          what, ": expected windows [n, ", rows == 0 ? std::string("rows") : std::to_string(rows), ", ",
          layout.width(), "]");
  return from_numpy(x);
}

at::Tensor timestep_tensor(const Timesteps& t, std::int64_t n, int timesteps) {
  require(t.ndim() == 0 || (t.ndim() == 1 && t.shape(0) == n), "t: expected one timestep or [", n, "]");
  const at::Tensor out =
      t.ndim() == 0 ? torch::full({n}, *t.data(), torch::kLong)
                    : torch::from_blob(const_cast<std::int64_t*>(t.data()), {n}, torch::kLong).clone();
  if (n > 0)
    require(out.min().item<std::int64_t>() >= 0 && out.max().item<std::int64_t>() < timesteps,
            "t: expected timesteps in [0, ", timesteps, ")");
  return out;
}

/// Numbers at a grid's positions as [rows, columns] of its raster, not-a-number in walls.
template <class Value>
py::array_t<double> raster(const MazeGrid& grid, const MazeMap& map, const std::vector<Value>& values) {
  py::array_t<double> out(
      {py::ssize_t(map.rows()) * grid.per_cell, py::ssize_t(map.columns()) * grid.per_cell});
  std::fill_n(out.mutable_data(), out.size(), std::numeric_limits<double>::quiet_NaN());
  for (std::size_t i = 0; i < values.size(); ++i) out.mutable_data()[grid.index[i]] = values[i];
  return out;
}

/// What leads samples.
struct AnyGuide {
  std::shared_ptr<const Guide> guide;
};

/// A reward as a guide: of noised windows, in model units.
struct GuideModel : AnyGuide {
  LearnedReward reward;
  std::string device;

  GuideModel(const std::filesystem::path& path, const std::string& on)
      : reward(load_reward(path, on)), device(on) {
    guide = reward.guide;
  }

  py::array_t<float> support(const Floats& windows) const {
    require(reward.relative != nullptr, "expected a relative reward, got another kind");
    windows_tensor(windows, reward.model->layout(), reward.model->layout().horizon, "windows");
    py::array_t<float> out(windows.shape(0));
    const std::span<const float> in(windows.data(), std::size_t(windows.size()));
    const std::span<float> values(out.mutable_data(), std::size_t(out.size()));
    const py::gil_scoped_release unlocked;
    reward.relative->support(in, values);
    return out;
  }

  /// See Reward.heatmap.
  py::dict heatmap(const std::string& maze, std::optional<Point> goal, int per_cell, double ball_radius,
                   const std::string& reading) const {
    const MazeMap map = maze_of(maze);
    if (!goal && map.goal()) goal = MazeMap::point_of(*map.goal());
    require(!goal || map.free(map.cell_at(*goal)), "goal: expected a position in a free cell, got a wall");
    ReadingConfig config;
    update(config, parse_json(reading, "reading"));
    Heatmap heatmap;
    std::vector<float> support;
    {
      const py::gil_scoped_release unlocked;
      heatmap = reward_heatmap(*read_reward(reward, config), map,
                               goal.value_or(MazeMap::point_of(map.free_cells().front())),
                               {.per_cell = per_cell, .ball_radius = ball_radius});
      if (reward.relative != nullptr) {
        support.resize(heatmap.grid.points.size());
        reward.relative->support(standing_windows(reward.relative->layout(), heatmap.grid.points), support);
      }
    }
    py::dict out;
    out["values"] = raster(heatmap.grid, map, heatmap.values);
    out["support"] = support.empty() ? py::object(py::none()) : raster(heatmap.grid, map, support);
    out["peak"] = py::make_tuple(heatmap.peak[0], heatmap.peak[1]);
    out["goal"] = goal ? py::object(py::make_tuple((*goal)[0], (*goal)[1])) : py::none();
    out["peak_to_goal"] = goal ? py::object(py::float_(heatmap.peak_to_goal)) : py::none();
    out["rank_correlation"] = goal ? py::object(py::float_(heatmap.rank_correlation)) : py::none();
    return out;
  }

  template <class Of>
  py::array_t<float> of(const Floats& x, const Timesteps& t, const Of& function) const {
    const at::Tensor windows = windows_tensor(x, reward.model->layout(), 0, "x").to(device);
    require(reward.relative != nullptr, "expected a relative reward, got another kind");
    const at::Tensor steps = timestep_tensor(t, x.shape(0), reward.relative->timesteps()).to(device);
    at::Tensor out;
    {
      const py::gil_scoped_release unlocked;
      out = function(guide_of(reward), windows, steps);
    }
    return to_numpy(out);
  }
};

struct Model {
  std::shared_ptr<const WindowModel> model;  // a DiffusionModel, or somebody's own

  py::array_t<float> of(const Floats& x, const Timesteps& t,
                        at::Tensor (WindowModel::*function)(const at::Tensor&, const at::Tensor&)
                            const) const {
    const at::Tensor windows =
        windows_tensor(x, model->layout(), model->layout().horizon, "x").to(model->device());
    const at::Tensor steps = timestep_tensor(t, x.shape(0), model->schedule().timesteps).to(model->device());
    at::Tensor out;
    {
      const py::gil_scoped_release unlocked;
      const torch::NoGradGuard no_gradients;
      out = ((*model).*function)(windows, steps);
    }
    return to_numpy(out);
  }

  py::array_t<float> sample(int n, const std::map<int, Floats>& conditions, const std::string& config,
                            const AnyGuide* guide) const {
    require(guide == nullptr || guide->guide != nullptr, "guide: ", kCannotGuide);
    SampleConfig settings{.scale = guide != nullptr ? 1.0 : 0.0};
    update(settings, parse_json(config, "sample"));
    std::vector<Condition> fixed;
    for (const auto& [time, observations] : conditions)
      fixed.push_back({time, {observations.data(), observations.data() + observations.size()}});
    std::vector<float> windows;
    {
      const py::gil_scoped_release unlocked;
      windows = model->sample(n, fixed, settings, guide != nullptr ? guide->guide.get() : nullptr);
    }
    py::array_t<float> out(
        {py::ssize_t(n), py::ssize_t(model->layout().horizon), py::ssize_t(model->layout().width())});
    std::copy(windows.begin(), windows.end(), out.mutable_data());
    return out;
  }
};

const DiffusionModel& native_of(const Model& model) {
  const auto* native = dynamic_cast<const DiffusionModel*>(model.model.get());
  require(native != nullptr, "expected a model of this package, got one of your own");
  return *native;
}

/// Extraction from models and windows that are no files; returns what a stage records, as JSON text.
std::string extract_models(const Model* expert, const Model& base, const Floats& expert_windows,
                           const Floats& base_windows, const std::string& method, const std::string& config,
                           const std::filesystem::path& folder, int threads, bool progress) {
  ExtractConfig settings;
  update(settings, expand_names(parse_json(config, "extract"), fields(settings)));
  const WindowLayout& layout = base.model->layout();
  const auto windows = [&](const Floats& x, const char* what) {
    windows_tensor(x, layout, layout.horizon, what);
    return std::vector<float>(x.data(), x.data() + x.size());
  };
  const auto source = windows_of(windows(expert_windows, "expert_data"), windows(base_windows, "base_data"),
                                 layout, base.model->normalizer(), settings.held_out);
  const py::gil_scoped_release unlocked;
  Progress::silence(!progress);
  set_torch_threads(threads);
  std::filesystem::create_directories(folder);
  return train_reward(method,
                      {expert != nullptr ? expert->model.get() : nullptr, *base.model, *source, nullptr},
                      settings, folder)
      .dump();
}

/// A trained agent that remembers nothing from one call to the next but where its random numbers stand.
class TrainedAgent {
 public:
  explicit TrainedAgent(const std::filesystem::path& folder)
      : file_(cli::product(folder.string(), "agent.safetensors")) {
    update(env_, cli::stage_record(folder).at("result").at("env"));
  }

  py::array_t<double> act(const Doubles& obs, bool stochastic) {
    require(obs.ndim() == 2, "obs: expected observations [n, observation_dim], got ", obs.ndim(),
            " dimensions");
    const auto n = static_cast<int>(obs.shape(0));
    if (!agent_ || envs_->size() != n || stochastic != stochastic_) {
      require(n > 0, "obs: expected at least one observation, got none");
      agent_.reset();
      envs_ = make_vector(env_, {.count = n, .autoreset = "same_step"});
      ActingConfig acting;
      acting.stochastic = stochastic;
      agent_ = load_agent(file_, *envs_, Streams(Purpose::kBehaviour, 0, changes_++), acting);
      stochastic_ = stochastic;
    }
    const auto width = static_cast<py::ssize_t>(envs_->spec().observation.size());
    require(obs.shape(1) == width, "obs: expected observations [n, ", width, "], got [n, ", obs.shape(1),
            "]");
    py::array_t<double> actions({py::ssize_t(n), py::ssize_t(envs_->spec().action.size())});
    const std::vector<std::uint8_t> begin(std::size_t(n), 1);  // nothing is held from call to call
    agent_->act({.obs = {obs.data(), std::size_t(obs.size())}, .reset = begin},
                {actions.mutable_data(), std::size_t(actions.size())});
    return actions;
  }

 private:
  std::filesystem::path file_;
  EnvConfig env_;
  std::unique_ptr<VectorEnv> envs_;
  std::unique_ptr<Agent> agent_;
  bool stochastic_ = false;
  std::uint64_t changes_ = 0;  // of the batch: each has random numbers of its own
};

struct PlanSettings {
  PlannerConfig planner;
  SampleConfig sample;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor&& field) {
    PlannerConfig::visit(self.planner, field);
    SampleConfig::visit(self.sample, field);
  }
};

/// Calls a function at the end of its scope.
template <class Function>
class ScopeEnd {
 public:
  explicit ScopeEnd(Function function) : function_(std::move(function)) {}
  ScopeEnd(const ScopeEnd&) = delete;
  ScopeEnd& operator=(const ScopeEnd&) = delete;
  ~ScopeEnd() { function_(); }

 private:
  Function function_;
};

/// A planner over any number of instances, which keeps their plans from one call to the next.
class ModelPlanner {
 public:
  ModelPlanner(const Model& model, const AnyGuide* guide, const std::string& config)
      : layout_((require(guide == nullptr || guide->guide != nullptr, "guide: ", kCannotGuide),
                 model.model->layout())),
        planner_(make(model.model, settings(config, guide != nullptr),
                      guide != nullptr ? guide->guide.get() : nullptr)) {}

  py::array_t<double> act(const Doubles& obs, const std::vector<std::uint8_t>& episode_start) {
    require(obs.ndim() == 2 && obs.shape(0) > 0 && obs.shape(1) == layout_.observation_dim,
            "obs: expected observations [n, ", layout_.observation_dim, "] of at least one instance");
    const auto n = static_cast<std::size_t>(obs.shape(0));
    require(episode_start.empty() || episode_start.size() == n, "episode_start: expected [", n,
            "] flags, got [", episode_start.size(), "]");
    py::array_t<double> actions({py::ssize_t(n), py::ssize_t(layout_.action_dim)});
    const std::span<const double> in(obs.data(), std::size_t(obs.size()));
    const std::span<double> out(actions.mutable_data(), std::size_t(actions.size()));
    const py::gil_scoped_release unlocked;
    const auto alone = lock();
    count_ = n;  // another number of instances: all of them plan anew
    planning_on_ = std::this_thread::get_id();
    const ScopeEnd end([this] { planning_on_ = std::thread::id(); });
    planner_.act({.obs = in, .reset = episode_start}, out);
    return actions;
  }

  py::array_t<float> plan() const {
    std::vector<float> plans;
    std::size_t n = 0;
    {
      const py::gil_scoped_release unlocked;  // who plans may want Python's lock while it holds this one
      const auto alone = lock();
      n = count_;
      const auto size = static_cast<std::size_t>(layout_.size());
      plans.assign(n * size, std::numeric_limits<float>::quiet_NaN());
      for (std::size_t i = 0; i < n; ++i)
        std::ranges::copy(planner_.plan(i), plans.begin() + static_cast<std::ptrdiff_t>(i * size));
    }
    py::array_t<float> out({py::ssize_t(n), py::ssize_t(layout_.horizon), py::ssize_t(layout_.width())});
    std::ranges::copy(plans, out.mutable_data());
    return out;
  }

 private:
  /// Throws Error where a guide, called while this planner plans, asks for it again.
  std::unique_lock<std::mutex> lock() const {
    if (planning_on_.load() == std::this_thread::get_id())
      throw Error("planner: expected its guide to leave it alone while it plans");
    std::unique_lock alone(mutex_);
    return alone;
  }
  static PlanSettings settings(const std::string& config, bool guided) {
    PlanSettings settings{.planner = {}, .sample = {.scale = guided ? 1.0 : 0.0}};
    update(settings, parse_json(config, "planner"));
    return settings;
  }
  static Planner make(const std::shared_ptr<const WindowModel>& model, const PlanSettings& settings,
                      const Guide* guide) {
    return {model, settings.sample, settings.planner, guide};
  }

  WindowLayout layout_;
  Planner planner_;
  std::size_t count_ = 0;
  mutable std::mutex mutex_;
  std::atomic<std::thread::id> planning_on_ = {};
};

void bind_chain(py::module_& m) {
  m.def("describe_commands", describe_commands, "Every command with its fields, as JSON text.");
  m.def("run_command", run_command, py::arg("name"), py::arg("config"), py::arg("progress"),
        "Runs a command with a config as JSON text; returns its result as JSON text.");
  m.def("run_cli", run_cli, py::arg("args"),
        "Runs `diffreward <args>` and returns its exit code. Takes over the signals of the process: for "
        "programs.");

  py::class_<AnyGuide>(m, "AnyGuide", "What leads samples.");
  py::class_<GuideModel, AnyGuide>(m, "Guide", "A reward of noised windows, in model units.")
      .def(py::init<const std::filesystem::path&, const std::string&>(), py::arg("path"),
           py::arg("device") = "cpu")
      .def(
          "value",
          [](const GuideModel& self, const Floats& x, const Timesteps& t) {
            return self.of(x, t, [](const Guide& g, const at::Tensor& w, const at::Tensor& s) {
              const torch::NoGradGuard no_gradients;
              return g.value(w, s);
            });
          },
          py::arg("x"), py::arg("t"), "rho(x, t) [n] of windows [n, rows, width] at timesteps [n].")
      .def(
          "gradient",
          [](const GuideModel& self, const Floats& x, const Timesteps& t) {
            return self.of(x, t, [](const Guide& g, const at::Tensor& w, const at::Tensor& s) {
              return g.gradient(w, s);
            });
          },
          py::arg("x"), py::arg("t"), "grad_x rho(x, t) [n, rows, width].")
      .def("support", &GuideModel::support, py::arg("windows"),
           "p-values [n] of windows in data units under the base data.")
      .def("heatmap", &GuideModel::heatmap, py::arg("maze"), py::arg("goal"), py::arg("per_cell"),
           py::arg("ball_radius"), py::arg("reading"),
           "The reward, read as JSON text says, of standing at positions of a maze.");

  py::class_<Model>(m, "Model", "A denoising diffusion model of windows of behaviour.")
      .def(py::init([](const std::filesystem::path& path, const std::string& device) {
             check_device(device);
             return Model{std::make_shared<DiffusionModel>(DiffusionModel::load(path, device))};
           }),
           py::arg("path"), py::arg("device") = "cpu")
      .def_property_readonly("horizon", [](const Model& self) { return self.model->layout().horizon; })
      .def_property_readonly("stride", [](const Model& self) { return self.model->layout().stride; })
      .def_property_readonly("action_dim", [](const Model& self) { return self.model->layout().action_dim; })
      .def_property_readonly("observation_dim",
                             [](const Model& self) { return self.model->layout().observation_dim; })
      .def_property_readonly("timesteps", [](const Model& self) { return self.model->schedule().timesteps; })
      .def_property_readonly("parameters", [](const Model& self) { return native_of(self).parameters(); })
      .def_property_readonly("config",
                             [](const Model& self) { return to_json(native_of(self).config()).dump(); })
      .def(
          "predict_x0",
          [](const Model& self, const Floats& x, const Timesteps& t) {
            return self.of(x, t, &WindowModel::predict_x0);
          },
          py::arg("x"), py::arg("t"))
      .def(
          "posterior_mean",
          [](const Model& self, const Floats& x, const Timesteps& t) {
            return self.of(x, t, &WindowModel::posterior_mean);
          },
          py::arg("x"), py::arg("t"))
      .def(
          "score",
          [](const Model& self, const Floats& x, const Timesteps& t) {
            return self.of(x, t, &WindowModel::score);
          },
          py::arg("x"), py::arg("t"))
      .def("sample", &Model::sample, py::arg("n"), py::arg("conditions"), py::arg("config"),
           py::arg("guide") = static_cast<const AnyGuide*>(nullptr));

  m.def(
      "own_model",
      [](py::object object, std::vector<double> betas, int horizon, int action_dim, int observation_dim) {
        return Model{
            own_model(std::move(object), std::move(betas),
                      {.horizon = horizon, .action_dim = action_dim, .observation_dim = observation_dim})};
      },
      py::arg("object"), py::arg("betas"), py::arg("horizon"), py::arg("action_dim"),
      py::arg("observation_dim"),
      "A model written in Python: object.predict(x, t) and object.pull(x, t, gradient).");
  m.def(
      "own_guide", [](py::object object) { return AnyGuide{own_guide(std::move(object))}; },
      py::arg("object"), "A guide written in Python: object.value(x, t) and object.gradient(x, t).");
  m.def("extract_models", extract_models, py::arg("expert"), py::arg("base"), py::arg("expert_windows"),
        py::arg("base_windows"), py::arg("method"), py::arg("config"), py::arg("folder"), py::arg("threads"),
        py::arg("progress"),
        "Extracts a reward from models and windows [n, horizon, width] into a folder; returns its report as "
        "JSON.");

  py::class_<ModelPlanner>(m, "Planner", "A model that acts, by itself or led by a reward.")
      .def(py::init<const Model&, const AnyGuide*, const std::string&>(), py::arg("model"),
           py::arg("guide") = static_cast<const AnyGuide*>(nullptr), py::arg("config") = "{}",
           py::keep_alive<1, 2>(), py::keep_alive<1, 3>())
      .def("act", &ModelPlanner::act, py::arg("obs"), py::arg("episode_start"),
           "Actions [n, action_dim] for observations [n, observation_dim]; plans of instances whose flag is "
           "set are made anew.")
      .def("plan", &ModelPlanner::plan, "The present plans [n, horizon, width], data units.");

  py::class_<TrainedAgent>(m, "Agent", "A trained agent, from the folder of rl.")
      .def(py::init<const std::filesystem::path&>(), py::arg("folder"))
      .def("act", &TrainedAgent::act, py::arg("obs"), py::arg("stochastic"),
           "Actions [n, action_dim] for observations [n, observation_dim].");
}

}  // namespace

PYBIND11_MODULE(_chain, m) {
  m.doc() = "Commands, models and agents of DiffReward.";
  bind_errors();
  py::register_local_exception_translator([](std::exception_ptr error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const cli::UsageError& e) {
      py::set_error(PyExc_ValueError, e.what());
    }
  });
  bind_chain(m);
}

}  // namespace diffreward::python
