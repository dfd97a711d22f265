# What every target shares: the language standard, warnings, the compiler cache, the linker, sanitizers.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O2")  # no -DNDEBUG: an assertion in a simulator is worth its nanosecond

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # The sloppiness lets ccache serve sources that use a precompiled header.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      ${CCACHE_PROGRAM})
endif()

include(CheckLinkerFlag)
check_linker_flag(CXX -fuse-ld=mold DIFFREWARD_HAVE_MOLD)
if(DIFFREWARD_HAVE_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

add_library(diffreward_options INTERFACE)  # linked PRIVATE by every target of this project
target_compile_options(diffreward_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
  $<$<BOOL:${DIFFREWARD_WERROR}>:-Werror>)
if(DIFFREWARD_SANITIZE)
  add_compile_options(-fsanitize=${DIFFREWARD_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -g1)
  add_link_options(-fsanitize=${DIFFREWARD_SANITIZE})
endif()
