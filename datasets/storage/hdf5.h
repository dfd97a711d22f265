// HDF5's identifiers as handles that close themselves, and its attributes written. Whoever uses HDF5 holds
// the Hdf5Lock; strangers' files are read by hdf5_reader.h.
#pragma once

#include <hdf5.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/error.h"

namespace diffreward::hdf5 {

/// An identifier of any kind, closed at the end of its life.
class Handle {
 public:
  Handle() = default;
  Handle(hid_t id, herr_t (*closer)(hid_t)) : id_(id), close_(closer) {}
  ~Handle() { reset(); }
  Handle(Handle&& other) noexcept : id_(other.id_), close_(other.close_) { other.id_ = -1; }
  Handle& operator=(Handle&& other) noexcept {
    if (this != &other) {
      reset();
      id_ = other.id_;
      close_ = other.close_;
      other.id_ = -1;
    }
    return *this;
  }
  hid_t get() const { return id_; }
  /// Closes now; false if that failed, as it does where buffered bytes did not fit on the disk.
  bool close() {
    const bool good = id_ >= 0 && close_(id_) >= 0;
    id_ = -1;
    return good;
  }
  bool valid() const { return id_ >= 0; }

 private:
  void reset() {
    if (id_ >= 0) close_(id_);
    id_ = -1;
  }
  hid_t id_ = -1;
  herr_t (*close_)(hid_t) = nullptr;
};

/// Keeps HDF5 from printing its own error stack during this object's life.
class Quiet {
 public:
  Quiet() {
    H5Eget_auto2(H5E_DEFAULT, &function_, &data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  }
  ~Quiet() { H5Eset_auto2(H5E_DEFAULT, function_, data_); }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;

 private:
  H5E_auto2_t function_ = nullptr;
  void* data_ = nullptr;
};

/// Attributes. Throw Error naming the attribute.
void write_text(hid_t object, const std::string& name, const std::string& value);
void write_integer(hid_t object, const std::string& name, std::uint64_t value);

}  // namespace diffreward::hdf5
