# Writes OUT, the source of core/provenance.h's functions, at build time and only when it changes.
# cmake -DSOURCE=<project> -DOUT=<file> -DTOOLS=<compiler, flags, versions> -P Provenance.cmake
execute_process(COMMAND git -C ${SOURCE} rev-parse --short=12 HEAD
  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
execute_process(COMMAND git -C ${SOURCE} rev-parse --show-toplevel
  OUTPUT_VARIABLE top OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
file(REAL_PATH ${SOURCE} source)
if(failed OR NOT top STREQUAL source)  # an archive, maybe inside someone else's checkout
  set(commit unknown)
else()
  execute_process(COMMAND git -C ${SOURCE} --no-optional-locks status --porcelain --untracked-files=no OUTPUT_VARIABLE changes)
  if(changes)
    string(APPEND commit -dirty)
  endif()
endif()

# The hash of folders and files of the project, by their names and contents.
function(hash_of out)
  set(text "${TOOLS}\n")
  foreach(name ${ARGN})
    if(IS_DIRECTORY ${SOURCE}/${name})
      file(GLOB_RECURSE files RELATIVE ${SOURCE} ${SOURCE}/${name}/*.h ${SOURCE}/${name}/*.cpp ${SOURCE}/${name}/*.in
        ${SOURCE}/${name}/*.xml ${SOURCE}/${name}/CMakeLists.txt)
      if(NOT files)
        message(FATAL_ERROR "Provenance: expected sources in ${SOURCE}/${name}, found none")
      endif()
    else()
      set(files ${name})
    endif()
    list(SORT files)
    foreach(file ${files})
      file(SHA256 ${SOURCE}/${file} hash)
      string(APPEND text "${hash} ${file}\n")
    endforeach()
  endforeach()
  string(SHA256 hash "${text}")
  set(${out} ${hash} PARENT_SCOPE)
endfunction()
set(up_to_agents core envs datasets agents cmake/Toolchain.cmake cli/generate.cpp cli/train.cpp)
hash_of(agents ${up_to_agents})
hash_of(rewards ${up_to_agents} rewards cli/evaluate.cpp cli/extract.cpp cli/plan.cpp cli/rl.cpp cli/steer.cpp)

file(CONFIGURE OUTPUT ${OUT} @ONLY CONTENT [[
#include "core/provenance.h"

namespace diffreward {

const std::string& program_commit() {
  static const std::string commit = "@commit@";
  return commit;
}

const std::string& program_sources(Link link) {
  static const std::string agents = "@agents@", rewards = "@rewards@";
  return link == Link::kAgents ? agents : rewards;
}

}  // namespace diffreward
]])
