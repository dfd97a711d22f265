# Writes OUT, the source of core/provenance.h's functions, at build time and only when it changes.
# cmake -DSOURCE=<project> -DOUT=<file> -P Provenance.cmake
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

set(files CMakeLists.txt VERSION requirements.txt tools/packages.txt)
foreach(folder core envs datasets agents rewards cli cmake)
  file(GLOB_RECURSE found RELATIVE ${SOURCE}
    ${SOURCE}/${folder}/*.h ${SOURCE}/${folder}/*.cpp ${SOURCE}/${folder}/*.xml ${SOURCE}/${folder}/*.txt ${SOURCE}/${folder}/*.cmake)
  list(APPEND files ${found})
endforeach()
list(SORT files)
set(hashes "")
foreach(name ${files})
  if(EXISTS ${SOURCE}/${name})
    file(SHA256 ${SOURCE}/${name} hash)
    string(APPEND hashes "${hash} ${name}\n")
  endif()
endforeach()
string(SHA256 sources "${hashes}")

file(CONFIGURE OUTPUT ${OUT} @ONLY CONTENT [[
#include "core/provenance.h"

namespace diffreward {

const std::string& program_commit() {
  static const std::string commit = "@commit@";
  return commit;
}

const std::string& program_sources() {
  static const std::string sources = "@sources@";
  return sources;
}

}  // namespace diffreward
]])
