// diffreward._envs: environments and data sets. Needs no LibTorch, so that importing it is quick.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include "bindings/batch.h"
#include "bindings/module.h"
#include "envs/async_env.h"
#include "envs/catalog.h"
#include "envs/locomotion/mujoco_env.h"
#include "envs/maze2d/point_maze.h"

namespace diffreward::python {
namespace {

namespace py = pybind11;

/// A read-only array over memory of `owner`, which it keeps alive.
template <class T>
py::array view_of(std::span<const T> values, std::vector<py::ssize_t> shape, const py::handle& owner) {
  py::array_t<T> array(std::move(shape), values.data(), owner);
  array.attr("flags").attr("writeable") = false;
  return array;
}

/// As view_of, for flags: bytes 0 and 1 seen as NumPy's bool.
py::array flags_of(std::span<const std::uint8_t> values, const py::handle& owner) {
  py::array array(py::dtype("bool"), {py::ssize_t(values.size())}, {}, values.data(), owner);
  array.attr("flags").attr("writeable") = false;
  return array;
}

using Vector = py::array_t<double, py::array::c_style>;

std::span<const double> span_of(const Vector& array) {
  return {array.data(), static_cast<std::size_t>(array.size())};
}

py::array image_array(const Image& image) {
  py::array_t<std::uint8_t> array({image.height, image.width, 3});
  std::ranges::copy(image.rgb, array.mutable_data());
  return array;
}

/// Instance i, which must be a robot.
MujocoEnv& robot(const Batch& batch, int i) {
  auto* const found = dynamic_cast<MujocoEnv*>(&batch.get().env(i));
  require(found, batch.get().spec().id, ": expected a robot, got another environment");
  return *found;
}

/// The observations of `kind` in a batch's view, [n, obs_dim].
template <std::span<const double> StepView::*field>
py::array observations(const py::object& self) {
  const VectorEnv& envs = self.cast<Batch&>().get();
  const py::ssize_t n = envs.size();
  const std::span<const double> values = envs.view().*field;
  return view_of(values, {n, py::ssize_t(values.size()) / n}, self);
}

template <std::span<const double> StepView::*field>
py::array numbers(const py::object& self) {
  const VectorEnv& envs = self.cast<Batch&>().get();
  return view_of(envs.view().*field, {py::ssize_t(envs.size())}, self);
}

template <std::span<const std::uint8_t> StepView::*field>
py::array flags(const py::object& self) {
  return flags_of(self.cast<Batch&>().get().view().*field, self);
}

/// A copy of values that last until the next recv().
template <class T>
py::array copy_of(std::span<const T> values) {
  return py::array(py::dtype::of<T>(), {py::ssize_t(values.size())}, {}, values.data());
}
py::array copy_of_rows(std::span<const double> values, std::size_t rows, std::size_t columns) {
  return py::array(py::dtype::of<double>(), {py::ssize_t(rows), py::ssize_t(columns)}, {}, values.data());
}
py::array copy_of_flags(std::span<const std::uint8_t> values) {
  return py::array(py::dtype("bool"), {py::ssize_t(values.size())}, {}, values.data());
}

using Async = Threaded<AsyncEnv>;
using Ids = py::array_t<int, py::array::c_style | py::array::forcecast>;

std::span<const int> span_of(const Ids& ids) {
  return {ids.data(), static_cast<std::size_t>(ids.size())};
}

void bind_async(py::module_& m) {
  py::class_<Async>(m, "Async", "Many environments that do not wait for each other.")
      .def_property_readonly("size", [](const Async& self) { return self.get().size(); })
      .def_property_readonly(
          "in_flight", [](const Async& self) { return self.get().in_flight(); },
          "Results that recv has yet to deliver.")
      .def_property_readonly(
          "spec", [](const Async& self) { return self.get().spec().json().dump(); }, "EnvSpec as JSON text.")
      .def(
          "send_reset",
          [](Async& self, const Ids& ids, const std::vector<std::uint64_t>& seeds,
             const std::vector<ResetOptions>& options) {
            self.get().send_reset(span_of(ids), std::vector<Seed>(seeds.begin(), seeds.end()), options);
          },
          py::arg("ids"), py::arg("seeds"), py::arg("options"), "Sends instances to a reset.")
      .def(
          "send",
          [](Async& self, const Ids& ids, const Vector& actions) {
            self.get().send(span_of(ids), span_of(actions));
          },
          py::arg("ids"), py::arg("actions").noconvert(),
          "Sends instances to a step; actions: [ids, act_dim].")
      .def(
          "recv",
          [](Async& self, int min) {
            AsyncEnv& envs = self.get();
            const AsyncBatch* batch = nullptr;
            {
              const py::gil_scoped_release unlocked;
              batch = &envs.recv(min);
            }
            const std::size_t n = batch->ids.size(), dim = envs.spec().observation.size(),
                              info_dim = envs.spec().info_size();
            return py::make_tuple(copy_of(batch->ids), copy_of_rows(batch->obs, n, dim),
                                  copy_of_rows(batch->final_obs, n, dim), copy_of(batch->reward),
                                  copy_of_flags(batch->terminated), copy_of_flags(batch->truncated),
                                  copy_of_flags(batch->reset), copy_of_rows(batch->info, n, info_dim),
                                  copy_of_rows(batch->final_info, n, info_dim));
          },
          py::arg("min"),
          "Waits for at least `min` results: ids, obs, final_obs, reward, terminated, truncated, reset, "
          "info, "
          "final_info.");

  m.def(
      "make_async",
      [](const std::string& id, const std::string& config, const std::string& options) {
        VectorConfig vector;
        update(vector, parse_json(config, "config"));
        return std::make_unique<Async>(
            std::make_unique<AsyncEnv>(id, vector, parse_json(options, "options")));
      },
      py::arg("id"), py::arg("config"), py::arg("options"), "As make_batch.");
}

void bind_envs(py::module_& m) {
  py::class_<ResetOptions>(m, "ResetOptions", "What a caller may fix about one reset.")
      .def(py::init([](decltype(ResetOptions::fixed) fixed, std::vector<double> state) {
             return ResetOptions{std::move(fixed), std::move(state)};
           }),
           py::arg("fixed"), py::arg("state"),
           "`fixed`: values by name, which the spec's reset_options list; `state`: exact state of one "
           "instance, empty for none.");

  py::class_<Batch>(m, "Batch", "Many environments stepped as one on a pool of threads.")
      .def_property_readonly("size", [](const Batch& self) { return self.get().size(); })
      .def_property_readonly(
          "spec", [](const Batch& self) { return self.get().spec().json().dump(); }, "EnvSpec as JSON text.")
      // The arrays below are views: they show the latest step or reset, and keep the batch alive.
      .def_property_readonly("obs", &observations<&StepView::obs>,
                             "[size, obs_dim] what the next action answers to.")
      .def_property_readonly("final_obs", &observations<&StepView::final_obs>,
                             "[size, obs_dim] what the step reached, before any automatic reset.")
      .def_property_readonly("info", &observations<&StepView::info>,
                             "[size, info_size] of the states of obs.")
      .def_property_readonly("final_info", &observations<&StepView::final_info>,
                             "[size, info_size] of the states of final_obs.")
      .def_property_readonly("reward", &numbers<&StepView::reward>, "[size]")
      .def_property_readonly("task_reward", &numbers<&StepView::task_reward>, "[size] the environment's own.")
      .def_property_readonly("terminated", &flags<&StepView::terminated>, "[size]")
      .def_property_readonly("truncated", &flags<&StepView::truncated>, "[size]")
      .def(
          "reset",
          [](Batch& self, const std::vector<std::uint8_t>& mask, const std::vector<std::uint64_t>& seeds,
             const std::vector<ResetOptions>& options) {
            VectorEnv& envs = self.get();
            const py::gil_scoped_release unlocked;
            envs.reset(mask, std::vector<Seed>(seeds.begin(), seeds.end()), options);
          },
          py::arg("mask"), py::arg("seeds"), py::arg("options"), "Resets all instances, or those in `mask`.")
      .def(
          "step",
          [](Batch& self, const Vector& actions) {
            VectorEnv& envs = self.get();
            const std::span<const double> values = span_of(actions);
            const py::gil_scoped_release unlocked;
            envs.step(values);
          },
          py::arg("actions").noconvert(), "Steps all instances; actions: [size, act_dim].")
      .def(
          "state",
          [](const Batch& self) {
            const std::vector<double> state = self.get().state();
            return Vector(py::ssize_t(state.size()), state.data());
          },
          "Exact state of the whole batch.")
      .def(
          "set_state", [](Batch& self, const Vector& state) { self.get().set_state(span_of(state)); },
          py::arg("state"), "Resumes to equal bits.")
      .def(
          "instance_state",
          [](const Batch& self, int i) {
            const Env& env = self.get().env(i);
            Vector state{py::ssize_t(env.spec().state_size)};
            env.state({state.mutable_data(), env.spec().state_size});
            return state;
          },
          py::arg("i"), "Exact state of one instance, as reset options take it.")
      .def(
          "render",
          [](const Batch& self, int i, int width, int height) {
            const Env& env = self.get().env(i);
            return image_array(env.render(width, height));
          },
          py::arg("i"), py::arg("width"), py::arg("height"), "Instance i as a picture [height, width, 3].")
      .def(
          "frame_skip", [](const Batch& self, int i) { return robot(self, i).frame_skip(); }, py::arg("i"),
          "Robots: MuJoCo's steps in one of instance i.")
      .def(
          "mujoco_model",
          [](const Batch& self, int i) {
            const std::vector<std::byte> bytes = mujoco_model_bytes(robot(self, i).model());
            return py::bytes(reinterpret_cast<const char*>(bytes.data()), bytes.size());
          },
          py::arg("i"), "Robots: the model of instance i as an MJB file's bytes.")
      .def(
          "copy_mujoco_data",
          [](const Batch& self, int i, std::uintptr_t address) {
            robot(self, i).snapshot(*reinterpret_cast<mjData_*>(address));
          },
          py::arg("i"), py::arg("address"),
          "Robots: copies instance i into the mjData at `address`, made for an equal model.")
      .def(
          "place",
          [](Batch& self, int i, const Vector& qpos, const Vector& qvel) {
            MujocoEnv& env = robot(self, i);
            std::vector<double> obs(env.spec().observation.size());
            env.place(span_of(qpos), span_of(qvel), obs);
            ResetOptions placed;
            placed.state.resize(env.spec().state_size);
            env.state(placed.state);
            std::vector<std::uint8_t> mask(std::size_t(self.get().size()), 0);
            mask[std::size_t(i)] = 1;
            self.get().reset(mask, {}, {&placed, 1});
          },
          py::arg("i"), py::arg("qpos"), py::arg("qvel"),
          "Robots: begins an episode of instance i at these positions and velocities.");

  m.def(
      "make_batch",
      [](const std::string& id, const std::string& config, const std::string& options) {
        VectorConfig vector;
        update(vector, parse_json(config, "config"));
        return std::make_unique<Batch>(make_vector(id, vector, parse_json(options, "options")));
      },
      py::arg("id"), py::arg("config"), py::arg("options"),
      "Makes a batch; `config` (VectorConfig) and `options` (the environment's, or a list of them, one an "
      "instance) are JSON texts.");

  m.def(
      "env_catalog",
      [] {
        std::vector<std::pair<std::string, int>> listed;
        for (const EnvEntry& entry : env_catalog()) listed.emplace_back(entry.id, entry.max_steps);
        return listed;
      },
      "The id and the step limit (0 for none) of every environment.");
  m.def(
      "env_summary", [](const std::string& id) { return env_entry(id).summary; }, py::arg("id"),
      "One line about an environment.");
  m.def(
      "env_spec",
      [](const std::string& id, const std::string& options) {
        return env_spec(id, parse_json(options, "options")).json().dump();
      },
      py::arg("id"), py::arg("options") = "{}",
      "EnvSpec of an environment made with these options, as JSON text.");
  m.def(
      "env_options",
      [](const std::string& id) {
        Json all = Json::array();
        for (const FieldInfo& field : env_entry(id).options_help())
          all.push_back({{"name", field.name},
                         {"kind", field.kind},
                         {"help", field.help},
                         {"default", field.value},
                         {"choices", field.choices}});
        return all.dump();
      },
      py::arg("id"), "The options of an environment, as JSON text.");
  m.def("check_picture_size", &check_picture_size, py::arg("width"), py::arg("height"),
        "Refuses (ValueError) sizes that are not drawn.");
  m.attr("GOAL_RADIUS") = PointMaze::kGoalRadius;
  m.def("nearest_name", &nearest_name, py::arg("name"), py::arg("candidates"),
        "The candidate most like `name`, or ''.");
}

}  // namespace

PYBIND11_MODULE(_envs, m, py::mod_gil_not_used()) {
  m.doc() = "Environments and data sets of DiffReward.";
  bind_errors();
  bind_envs(m);
  bind_async(m);
  bind_datasets(m);
}

}  // namespace diffreward::python
