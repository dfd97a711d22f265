// diffreward._rewards: learned rewards. Links LibTorch, and is loaded when a reward is first used.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include "bindings/batch.h"
#include "bindings/module.h"
#include "rewards/catalog.h"
#include "rewards/rewarded_env.h"
#include "rewards/transitions.h"

namespace diffreward::python {
namespace {

namespace py = pybind11;

using Model = std::shared_ptr<RewardModel>;
using Floats = py::array_t<float, py::array::c_style | py::array::forcecast>;

void bind_rewards(py::module_& m) {
  py::class_<RewardModel, Model>(m, "RewardModel", "Scores windows of behaviour.")
      .def_property_readonly(
          "horizon", [](const RewardModel& self) { return self.layout().horizon; }, "Rows of a window.")
      .def_property_readonly(
          "stride", [](const RewardModel& self) { return self.layout().stride; },
          "Environment steps between rows.")
      .def_property_readonly("action_dim", [](const RewardModel& self) { return self.layout().action_dim; })
      .def_property_readonly("observation_dim",
                             [](const RewardModel& self) { return self.layout().observation_dim; })
      .def_property_readonly(
          "reads",
          [](const RewardModel& self) {
            switch (self.reads()) {
              case Reads::kReached:
                return "reached";
              case Reads::kStateAction:
                return "state_action";
              case Reads::kTransition:
                return "transition";
            }
            return "";
          },
          "What of a transition a row holds: the state \"reached\", \"state_action\", or the whole "
          "\"transition\".")
      .def(
          "score_transitions",
          [](const RewardModel& self, const Floats& obs, const Floats& actions, const Floats& reached) {
            const auto check = [&](const Floats& rows, const char* what, int width) {
              require(rows.ndim() == 2 && rows.shape(0) == reached.shape(0) && rows.shape(1) == width, what,
                      ": expected [n, ", width, "] for n transitions");
            };
            require(reached.ndim() == 2, "next_obs: expected [n, ", self.layout().observation_dim, "]");
            check(reached, "next_obs", self.layout().observation_dim);
            check(obs, "obs", self.layout().observation_dim);
            if (self.layout().action_dim > 0) check(actions, "actions", self.layout().action_dim);
            py::array_t<float> scores(reached.shape(0));
            const auto span = [](const Floats& values) {
              return std::span<const float>(values.data(), std::size_t(values.size()));
            };
            const std::span<float> out(scores.mutable_data(), std::size_t(scores.size()));
            const py::gil_scoped_release unlocked;
            score_transitions(self, {span(obs), span(actions), span(reached)}, out);
            return scores;
          },
          py::arg("obs"), py::arg("actions"), py::arg("next_obs"),
          "Scores [n] of transitions [n, ...], each alone: all rows of a longer window are the transition's.")
      .def(
          "score",
          [](const RewardModel& self, const Floats& windows) {
            const WindowLayout& layout = self.layout();
            require(windows.ndim() == 3 && windows.shape(1) == layout.horizon &&
                        windows.shape(2) == layout.width(),
                    "score: expected windows [n, ", layout.horizon, ", ", layout.width(), "]");
            py::array_t<float> scores(windows.shape(0));
            const std::span<const float> in(windows.data(), std::size_t(windows.size()));
            const std::span<float> out(scores.mutable_data(), std::size_t(scores.size()));
            const py::gil_scoped_release unlocked;
            self.score(in, out);
            return scores;
          },
          py::arg("windows"),
          "Scores [n] of windows [n, horizon, action_dim + observation_dim], higher is preferred.");

  m.def(
      "load_reward",
      [](const std::filesystem::path& path, const std::string& reading, const std::string& device) {
        ReadingConfig config;
        update(config, parse_json(reading, "reading"));
        const py::gil_scoped_release unlocked;
        return std::const_pointer_cast<RewardModel>(read_reward(load_reward(path, device), config));
      },
      py::arg("path"), py::arg("reading"), py::arg("device") = "cpu",
      "Loads a learned reward; `reading` is a ReadingConfig as JSON text.");

  m.def(
      "rewarded",
      [](Batch& batch, Model reward) {
        return std::make_unique<Batch>(std::make_unique<RewardedEnv>(batch.take(), std::move(reward)));
      },
      py::arg("batch"), py::arg("reward"),
      "The batch with its reward replaced; `batch` cannot be used any more.");
}

}  // namespace

PYBIND11_MODULE(_rewards, m, py::mod_gil_not_used()) {
  m.doc() = "Learned rewards of DiffReward.";
  py::module_::import("diffreward._envs");  // defines Batch
  bind_errors();
  bind_rewards(m);
}

}  // namespace diffreward::python
