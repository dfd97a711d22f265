# dr_sources(<out> <pattern> [BUT <regex>]): files below the current folder, looked for again in every build, so that a
# new one is built without a line here.
function(dr_sources out pattern)
  cmake_parse_arguments(A "" "BUT" "" ${ARGN})
  file(GLOB_RECURSE found CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} ${pattern})
  if(A_BUT)
    list(FILTER found EXCLUDE REGEX "${A_BUT}")
  endif()
  list(SORT found)
  set(${out} ${found} PARENT_SCOPE)
endfunction()

# dr_library(<name> [TORCH] [ONLY] [SOURCES ...] [BUT <regex>] [LINK ...] [PRIVATE_LINK ...]): one link of the chain, as
# diffreward_<name>, of all sources in its folder (but those) and those named; ONLY of the latter.
function(dr_library name)
  cmake_parse_arguments(A "TORCH;ONLY" "BUT" "SOURCES;LINK;PRIVATE_LINK" ${ARGN})
  if(NOT A_ONLY)
    dr_sources(found *.cpp BUT "${A_BUT}")
    list(APPEND A_SOURCES ${found})
  endif()
  add_library(diffreward_${name} STATIC ${A_SOURCES})
  add_library(diffreward::${name} ALIAS diffreward_${name})
  set_target_properties(diffreward_${name} PROPERTIES EXPORT_NAME ${name})
  target_include_directories(diffreward_${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/diffreward>)
  target_link_libraries(diffreward_${name} PUBLIC ${A_LINK} PRIVATE
    $<BUILD_INTERFACE:diffreward_options> ${A_PRIVATE_LINK})
  if(A_TORCH)
    dr_use_torch(diffreward_${name})
  endif()
  set_property(GLOBAL APPEND PROPERTY DIFFREWARD_LIBRARIES diffreward_${name})
endfunction()

# Gives a target LibTorch and the one precompiled <torch/torch.h> that all torch targets share.
function(dr_use_torch target)
  target_link_libraries(${target} PRIVATE torch::torch)
  if(NOT TARGET diffreward_torch_pch)
    # CONFIGURE leaves an equal file alone: a fresh one would compile every torch target again.
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/torch_pch.cpp CONTENT "// carries the precompiled header\n")
    add_library(diffreward_torch_pch OBJECT ${PROJECT_BINARY_DIR}/torch_pch.cpp)
    target_link_libraries(diffreward_torch_pch PRIVATE torch::torch)
    target_precompile_headers(diffreward_torch_pch PRIVATE <torch/torch.h>)
    target_compile_options(diffreward_torch_pch PRIVATE -w -Wpedantic -fpch-preprocess)
  endif()
  target_compile_options(${target} PRIVATE -fpch-preprocess)
  target_precompile_headers(${target} REUSE_FROM diffreward_torch_pch)
  get_target_property(type ${target} TYPE)
  if(type STREQUAL EXECUTABLE)  # would be compiled with -fPIE, which refuses a header precompiled with -fPIC
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(${target} PRIVATE -fPIC)
  endif()
endfunction()

# dr_test(<name> [TORCH] SOURCES ... LINK ... [LABELS ...] [TIMEOUT s]): a GoogleTest program, one CTest entry.
function(dr_test name)
  cmake_parse_arguments(A "TORCH" "TIMEOUT" "SOURCES;LINK;LABELS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE ${A_LINK} diffreward_options GTest::gtest_main GTest::gmock)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_definitions(${name} PRIVATE
    DIFFREWARD_SOURCE_DIR="${PROJECT_SOURCE_DIR}" DIFFREWARD_PYTHON="${DIFFREWARD_PYTHON}")
  if(A_TORCH)
    dr_use_torch(${name})
  endif()
  add_test(NAME ${name} COMMAND ${name})
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 300)
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${A_TIMEOUT} LABELS "${A_LABELS}"
    ENVIRONMENT "OMP_NUM_THREADS=1")
endfunction()

# dr_benchmark(<name> [TORCH] SOURCES ... LINK ...): a google-benchmark program, built but not run by CTest.
function(dr_benchmark name)
  cmake_parse_arguments(A "TORCH" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE ${A_LINK} diffreward_options benchmark::benchmark)
  target_compile_options(${name} PRIVATE -Wno-missing-field-initializers)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  if(A_TORCH)
    dr_use_torch(${name})
  endif()
endfunction()

# dr_example(<name> [TORCH] LINK ... [ARGS ...]): examples/<name>.cpp, run by CTest with tiny settings.
function(dr_example name)
  cmake_parse_arguments(A "TORCH" "" "LINK;ARGS" ${ARGN})
  add_executable(example_${name} ${name}.cpp)
  target_link_libraries(example_${name} PRIVATE ${A_LINK} diffreward_options)
  target_include_directories(example_${name} PRIVATE ${PROJECT_SOURCE_DIR})
  if(A_TORCH)
    dr_use_torch(example_${name})
  endif()
  if(DIFFREWARD_BUILD_TESTS)
    add_test(NAME example_${name} COMMAND example_${name} ${A_ARGS})
    set_tests_properties(example_${name} PROPERTIES TIMEOUT 300 LABELS example ENVIRONMENT "OMP_NUM_THREADS=1")
  endif()
endfunction()
