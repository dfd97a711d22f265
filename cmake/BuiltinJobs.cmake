# dr_builtin_jobs(<target>): the job files in jobs/ as texts in the program, so that `diffreward run <name>` works
# anywhere. Writes cli/builtin_jobs.h into the build.
function(dr_builtin_jobs target)
  file(GLOB jobs CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/jobs/*.toml)
  list(SORT jobs)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${jobs})
  set(entries "")
  foreach(job IN LISTS jobs)
    cmake_path(GET job STEM name)
    file(READ ${job} text)
    string(APPEND entries "    {\"${name}\", R\"toml(${text})toml\"},\n")
  endforeach()
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/generated/cli/builtin_jobs.h @ONLY CONTENT
"// The files of jobs/, by name. Written by cmake/BuiltinJobs.cmake.
#pragma once

#include <string_view>
#include <utility>

namespace diffreward::cli {

inline constexpr std::pair<std::string_view, std::string_view> kBuiltinJobs[] = {
@entries@};

}  // namespace diffreward::cli
")
  target_include_directories(${target} PRIVATE ${PROJECT_BINARY_DIR}/generated)
endfunction()
