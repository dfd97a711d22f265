# Where the fixed packages come from. MuJoCo and LibTorch are the wheels of the Python environment
# DIFFREWARD_PYTHON, so the C++ tools and the Python package share one copy of each library.
set(DIFFREWARD_PYTHON "${PROJECT_SOURCE_DIR}/.venv/bin/python" CACHE FILEPATH
    "Python interpreter whose site-packages hold the torch and mujoco wheels")
if(SKBUILD)  # pip builds the Python package: its interpreter, not the developers' environment
  set(DIFFREWARD_PYTHON "${Python_EXECUTABLE}" CACHE FILEPATH "" FORCE)
endif()
if(NOT EXISTS "${DIFFREWARD_PYTHON}")
  find_program(DIFFREWARD_PYTHON_FALLBACK NAMES python3 REQUIRED)
  set(DIFFREWARD_PYTHON "${DIFFREWARD_PYTHON_FALLBACK}" CACHE FILEPATH "" FORCE)
endif()

# The folder of an installed wheel, found without importing it (importing torch takes seconds). First where the
# interpreter installs (-I), then wherever it looks: pip's isolated builds put packages in front of the former.
function(dr_wheel_dir package out)
  foreach(option -I -s)
    execute_process(
      COMMAND ${DIFFREWARD_PYTHON} ${option} -c
        "import importlib.util as u; s = u.find_spec('${package}'); print(s.submodule_search_locations[0] if s else '')"
      OUTPUT_VARIABLE dir OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(dir)
      break()
    endif()
  endforeach()
  if(NOT dir)
    message(FATAL_ERROR "The Python package '${package}' is not installed for ${DIFFREWARD_PYTHON}. "
                        "Run 'make setup', or set DIFFREWARD_PYTHON to an interpreter that has it.")
  endif()
  set(${out} ${dir} PARENT_SCOPE)
endfunction()

find_package(Threads REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(box2d 2.4 REQUIRED)
find_package(OpenSSL 3 REQUIRED COMPONENTS Crypto)
find_package(PNG REQUIRED)
find_package(JPEG REQUIRED)
find_package(hwy 1.0 REQUIRED)
find_package(OpenCV 4 REQUIRED COMPONENTS core dnn imgproc imgcodecs videoio)
set(HDF5_PREFER_PARALLEL FALSE)
find_package(HDF5 1.10 REQUIRED COMPONENTS C)
find_library(DIFFREWARD_LZF lzf REQUIRED DOC "liblzf, HDF5's LZF filter (Debian: liblzf-dev)")
find_path(DIFFREWARD_LZF_INCLUDE liblzf/lzf.h REQUIRED)
add_library(liblzf::liblzf UNKNOWN IMPORTED GLOBAL)
set_target_properties(liblzf::liblzf PROPERTIES
  IMPORTED_LOCATION ${DIFFREWARD_LZF} INTERFACE_INCLUDE_DIRECTORIES ${DIFFREWARD_LZF_INCLUDE})
find_library(DIFFREWARD_UTF8PROC utf8proc REQUIRED DOC "utf8proc, Unicode for tokenizers (Debian: libutf8proc-dev)")
find_path(DIFFREWARD_UTF8PROC_INCLUDE utf8proc.h REQUIRED)
add_library(utf8proc::utf8proc UNKNOWN IMPORTED GLOBAL)
set_target_properties(utf8proc::utf8proc PROPERTIES
  IMPORTED_LOCATION ${DIFFREWARD_UTF8PROC} INTERFACE_INCLUDE_DIRECTORIES ${DIFFREWARD_UTF8PROC_INCLUDE})

dr_wheel_dir(mujoco mujoco_dir)
file(GLOB mujoco_library ${mujoco_dir}/libmujoco.so.*)
add_library(mujoco::mujoco SHARED IMPORTED GLOBAL)
set_target_properties(mujoco::mujoco PROPERTIES
  IMPORTED_LOCATION ${mujoco_library} INTERFACE_INCLUDE_DIRECTORIES ${mujoco_dir}/include)

get_filename_component(mujoco_name ${mujoco_library} NAME)
set(DIFFREWARD_VERSIONS ${mujoco_name} box2d ${box2d_VERSION})  # of packages that numbers depend on

if(DIFFREWARD_WITH_TORCH)
  # find_package(Torch) of a CUDA wheel demands a CUDA toolkit; the libraries themselves do not.
  dr_wheel_dir(torch torch_dir)
  add_library(torch::torch INTERFACE IMPORTED GLOBAL)
  set(torch_libraries torch torch_cpu c10)
  if(EXISTS ${torch_dir}/lib/libtorch_cuda.so)
    list(APPEND torch_libraries torch_cuda c10_cuda)
  endif()
  foreach(name ${torch_libraries})
    add_library(torch::${name}_lib SHARED IMPORTED GLOBAL)
    set_target_properties(torch::${name}_lib PROPERTIES IMPORTED_LOCATION ${torch_dir}/lib/lib${name}.so)
    # libtorch registers its kernels from static constructors: keep it even where no symbol is referenced.
    target_link_libraries(torch::torch INTERFACE -Wl,--no-as-needed torch::${name}_lib)
  endforeach()
  file(STRINGS ${torch_dir}/version.py torch_version REGEX "^__version__")
  list(APPEND DIFFREWARD_VERSIONS ${torch_version})
  # LibTorch's own OpenMP runtime, for loops over its threads.
  file(GLOB torch_openmp ${torch_dir}/lib/libgomp*.so*)
  if(NOT torch_openmp)
    find_package(OpenMP REQUIRED COMPONENTS CXX)
    set(torch_openmp ${OpenMP_CXX_LIBRARIES})
  endif()
  target_link_libraries(torch::torch INTERFACE ${torch_openmp})
  # Behind the runtime, see agents/openmp_wait.c.
  target_link_libraries(torch::torch INTERFACE
    $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:$<TARGET_NAME_IF_EXISTS:diffreward_openmp_wait>>)
  target_include_directories(torch::torch SYSTEM INTERFACE
    ${torch_dir}/include ${torch_dir}/include/torch/csrc/api/include)
  find_package(CLI11 2.1 REQUIRED)
  find_package(nanoflann 1.4 REQUIRED)
  find_package(tomlplusplus REQUIRED)
  find_package(yaml-cpp 0.7 REQUIRED)  # model cards of others
  find_package(SQLite3 3.37 REQUIRED)  # its strict tables
  find_library(DIFFREWARD_MICROHTTPD microhttpd REQUIRED DOC "GNU libmicrohttpd (Debian: libmicrohttpd-dev)")
  find_path(DIFFREWARD_MICROHTTPD_INCLUDE microhttpd.h REQUIRED)
  add_library(microhttpd::microhttpd UNKNOWN IMPORTED GLOBAL)
  set_target_properties(microhttpd::microhttpd PROPERTIES
    IMPORTED_LOCATION ${DIFFREWARD_MICROHTTPD} INTERFACE_INCLUDE_DIRECTORIES ${DIFFREWARD_MICROHTTPD_INCLUDE})
endif()

if(DIFFREWARD_BUILD_TESTS)
  find_package(GTest REQUIRED)
endif()
if(DIFFREWARD_BUILD_BENCHMARKS)
  find_package(benchmark REQUIRED)
endif()
