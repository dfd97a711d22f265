// diffreward._envs, the part about data sets.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include "bindings/module.h"
#include "datasets/dataset.h"
#include "datasets/image_set.h"

namespace diffreward::python {
namespace {

namespace py = pybind11;

/// Pixels as a read-only array over the file's own memory.
py::array pixels(std::span<const std::uint8_t> values, std::vector<py::ssize_t> shape,
                 const py::handle& owner) {
  py::array array(py::dtype("uint8"), std::move(shape), {}, values.data(), owner);
  array.attr("flags").attr("writeable") = false;
  return array;
}

std::string provenance_text(const Provenance& p) {
  return Json{{"env", p.env},   {"behaviour", p.behaviour},     {"generator", p.generator},
              {"seed", p.seed}, {"env_options", p.env_options}, {"extra", p.extra}}
      .dump();
}

/// What is in a picture, as JSON text.
std::string description(const ImageSet& data, std::size_t index) {
  Json objects = Json::array();
  for (const PlacedObject& object : data.objects(index)) {
    const Drawing& drawing = data.drawings()[object.drawing];
    objects.push_back({{"name", drawing.name},
                       {"artist", drawing.artist},
                       {"box", {object.left, object.top, object.width, object.height}}});
  }
  return Json{{"index", index}, {"caption", data.caption(index)}, {"objects", objects}}.dump();
}

std::size_t checked(const ImageSet& data, std::size_t index) {
  if (index >= data.size())
    throw py::index_error(concat("index: expected one below ", data.size(), ", got ", index));
  return index;
}

/// A read-only array over the file's own memory, [rows] or [rows, dim].
template <class T>
py::array column(std::span<const T> values, std::size_t rows, std::size_t dim, const py::handle& owner) {
  std::vector<py::ssize_t> shape = {py::ssize_t(rows)};
  if (dim) shape.push_back(py::ssize_t(dim));
  py::array array(std::is_same_v<T, float> ? py::dtype("float32") : py::dtype("bool"), shape, {},
                  values.data(), owner);
  array.attr("flags").attr("writeable") = false;
  return array;
}

}  // namespace

void bind_datasets(py::module_& m) {
  py::class_<Dataset>(
      m, "Dataset",
      "Recorded experience: rows are transitions in time order, episodes one after the other.\n\n"
      "The arrays are read-only views of the memory-mapped file and keep it open.\n\n"
      "Example:\n"
      "    >>> data = dr.open_dataset(base_data.folder)\n"
      "    >>> begin, end = data.episodes[0]\n"
      "    >>> data.observations[begin:end].shape, data.actions[begin:end].shape\n"
      "    ((200, 4), (200, 2))\n"
      "    >>> data.info(\"goal\")[begin].shape\n"
      "    (2,)")
      .def("__len__", &Dataset::size)
      .def_property_readonly(
          "observations",
          [](const py::object& self) {
            const Dataset& data = self.cast<const Dataset&>();
            return column(data.observations(), data.size(), data.observation_dim(), self);
          },
          "[rows, observation_dim] float32, before the action.")
      .def_property_readonly(
          "next_observations",
          [](const py::object& self) {
            const Dataset& data = self.cast<const Dataset&>();
            return column(data.next_observations(), data.size(), data.observation_dim(), self);
          },
          "[rows, observation_dim] float32, reached by the action, also at ends.")
      .def_property_readonly(
          "actions",
          [](const py::object& self) {
            const Dataset& data = self.cast<const Dataset&>();
            return column(data.actions(), data.size(), data.action_dim(), self);
          },
          "[rows, action_dim] float32.")
      .def_property_readonly(
          "rewards",
          [](const py::object& self) {
            const Dataset& data = self.cast<const Dataset&>();
            return column(data.rewards(), data.size(), 0, self);
          },
          "[rows] float32, for the state reached.")
      .def_property_readonly(
          "terminals",
          [](const py::object& self) {
            const Dataset& data = self.cast<const Dataset&>();
            return column(data.terminals(), data.size(), 0, self);
          },
          "[rows] bool, the task ended with this row.")
      .def_property_readonly(
          "timeouts",
          [](const py::object& self) {
            const Dataset& data = self.cast<const Dataset&>();
            return column(data.timeouts(), data.size(), 0, self);
          },
          "[rows] bool, the episode was cut after this row.")
      .def_property_readonly("ignored", &Dataset::ignored,
                             "What the file holds and is left out, with the reason.")
      .def_property_readonly("info_names", &Dataset::info_names, "Names of the extra columns.")
      .def(
          "info",
          [](const py::object& self, const std::string& name) {
            const Dataset& data = self.cast<const Dataset&>();
            return column(data.info(name), data.size(), data.info_dim(name), self);
          },
          py::arg("name"), "[rows, dim] float32 of an extra column.")
      .def_property_readonly(
          "episodes",
          [](const Dataset& self) {
            py::array_t<std::int64_t> out({py::ssize_t(self.episodes().size()), py::ssize_t(2)});
            std::int64_t* at = out.mutable_data();
            for (const Episode& episode : self.episodes()) {
              *at++ = std::int64_t(episode.begin);
              *at++ = std::int64_t(episode.end);
            }
            return out;
          },
          "[episodes, 2] int64: first row of each episode, and the row after its last.")
      .def_property_readonly(
          "provenance", [](const Dataset& self) { return provenance_text(self.provenance()); },
          "Where the data comes from, as JSON text.")
      .def_property_readonly("path", &Dataset::path, "The file.")
      .def(
          "__reduce__",
          [](const Dataset& self) -> py::tuple {
            return py::make_tuple(py::module_::import("diffreward._envs").attr("open_dataset"),
                                  py::make_tuple(self.path()));
          },
          "Pickles as its path: whoever unpickles it opens the file.")
      .def(
          "write_d4rl",
          [](const Dataset& self, const std::filesystem::path& path) {
            const py::gil_scoped_release unlocked;
            self.write_d4rl(path);
          },
          py::arg("path"), "Writes a D4RL HDF5 file.")
      .def(
          "write_minari",
          [](const Dataset& self, const std::filesystem::path& root, const std::string& id) {
            const py::gil_scoped_release unlocked;
            return self.write_minari(root, id);
          },
          py::arg("root"), py::arg("id"), "Writes a Minari data set below `root` and returns its folder.");

  py::class_<ImageSet>(m, "ImageSet",
                       "Pictures with captions and masks (EmojiScenes).\n\n"
                       "The arrays are read-only views of the memory-mapped file and keep it open.")
      .def("__len__", &ImageSet::size)
      .def_property_readonly("side", &ImageSet::side, "Of each picture, pixels.")
      .def_property_readonly(
          "images",
          [](const py::object& self) {
            const ImageSet& data = self.cast<const ImageSet&>();
            return pixels(data.images(), {py::ssize_t(data.size()), data.side(), data.side(), 3}, self);
          },
          "[pictures, side, side, 3] uint8, RGB.")
      .def_property_readonly(
          "masks",
          [](const py::object& self) {
            const ImageSet& data = self.cast<const ImageSet&>();
            return pixels(data.masks(), {py::ssize_t(data.size()), data.side(), data.side()}, self);
          },
          "[pictures, side, side] uint8, 0 for the ground and k for the k-th object.")
      .def(
          "caption",
          [](const ImageSet& self, std::size_t index) {
            return std::string(self.caption(checked(self, index)));
          },
          py::arg("index"), "The caption of a picture, empty for none.")
      .def(
          "description",
          [](const ImageSet& self, std::size_t index) { return description(self, checked(self, index)); },
          py::arg("index"),
          "What is in a picture, as JSON text: index, caption, and of objects name, artist and box (left, "
          "top, "
          "width, height in pixels).")
      .def(
          "png",
          [](const ImageSet& self, std::size_t index) {
            const auto image = self.image(checked(self, index));
            const auto file = encode_png({self.side(), self.side(), {image.begin(), image.end()}});
            return py::bytes(reinterpret_cast<const char*>(file.data()), file.size());
          },
          py::arg("index"), "A picture as the bytes of a PNG file.")
      .def_property_readonly(
          "provenance", [](const ImageSet& self) { return provenance_text(self.provenance()); },
          "Where the pictures come from, as JSON text.")
      .def_property_readonly("path", &ImageSet::path, "The file.");

  m.def("is_image_set", &is_image_set, py::arg("path"), "Whether a path stands for a file of pictures.");
  m.def(
      "open_pictures",
      [](const std::filesystem::path& path) {
        const py::gil_scoped_release unlocked;
        return ImageSet::open(std::filesystem::absolute(path));
      },
      py::arg("path"),
      "Opens a file of pictures, or the folder that holds it.\n\n"
      "Raises:\n"
      "    RuntimeError: a file that is missing, damaged or of another kind, naming it and what was found.");

  m.def(
      "open_dataset",
      [](const std::filesystem::path& path) {
        const py::gil_scoped_release unlocked;
        return Dataset::open(std::filesystem::absolute(path));  // that a pickle still finds it
      },
      py::arg("path"),
      "Opens a D4RL HDF5 file, a Minari data set, or the folder that holds one of them.\n\n"
      "Raises:\n"
      "    RuntimeError: a file that is missing or damaged, naming it and what was found.\n\n"
      "Example:\n"
      "    >>> len(dr.open_dataset(base_data.folder))\n"
      "    3200");
}

}  // namespace diffreward::python
