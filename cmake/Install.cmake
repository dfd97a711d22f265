# cmake --install: headers, libraries, the command, and what find_package(DiffReward) reads.
include(CMakePackageConfigHelpers)
get_property(dr_libraries GLOBAL PROPERTY DIFFREWARD_LIBRARIES)
list(REMOVE_ITEM dr_libraries diffreward_cli diffreward_board_server)  # the program's inside, not an interface
install(TARGETS ${dr_libraries} EXPORT DiffRewardTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
set(dr_config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/DiffReward)
install(EXPORT DiffRewardTargets NAMESPACE diffreward:: DESTINATION ${dr_config_dir})
# Headers: the front doors, and what they include.
set(dr_open
  envs/env.h envs/vector_env.h envs/async_env.h envs/agent.h envs/catalog.h envs/maze2d/maze2d.h envs/pictures.h
  datasets/dataset.h datasets/collect.h datasets/shards.h envs/fingerprint.h datasets/check.h datasets/windows.h datasets/normalizer.h
  datasets/image_set.h datasets/scenes/scenes.h
  agents/agent.h agents/catalog.h agents/device.h agents/nets/ranks.h agents/planner.h agents/diffusion/diffusion_model.h
  agents/stable_diffusion/stable_diffusion.h agents/stable_diffusion/prompted_denoiser.h agents/stable_diffusion/pipeline_trainer.h
  rewards/reward_model.h rewards/catalog.h rewards/rewarded_env.h rewards/transitions.h rewards/discriminator/discriminator.h
  rewards/relative/sample_source.h rewards/evaluate/evaluate.h rewards/evaluate/maze_task.h rewards/evaluate/steering.h
  rewards/recipes/recipes.h
  rewards/nearest/nearest.h rewards/image/evaluate/evaluate_images.h rewards/image/image_reward.h rewards/image/picture_latents.h
  report/page.h leaderboard/results.h leaderboard/board.h leaderboard/standings.h
  core/format.h core/interrupt.h core/progress.h core/safetensors.h envs/linear_quadratic/linear_quadratic.h)
set(dr_headers "")
while(dr_open)
  list(POP_FRONT dr_open header)
  if(header IN_LIST dr_headers)
    continue()
  endif()
  list(APPEND dr_headers ${header})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${header})
  file(STRINGS ${header} lines REGEX "^#include \"")
  foreach(line ${lines})
    string(REGEX REPLACE "^#include \"(.*)\".*" "\\1" included "${line}")
    list(APPEND dr_open ${included})
  endforeach()
endwhile()
foreach(header ${dr_headers})
  if(header MATCHES "_torch.h$")
    message(FATAL_ERROR "${header}: expected front doors without LibTorch, found it behind one of them")
  endif()
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES ${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/diffreward/${folder})
endforeach()
configure_package_config_file(cmake/DiffRewardConfig.cmake.in ${PROJECT_BINARY_DIR}/DiffRewardConfig.cmake
  INSTALL_DESTINATION ${dr_config_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/DiffRewardConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/DiffRewardConfig.cmake ${PROJECT_BINARY_DIR}/DiffRewardConfigVersion.cmake
  cmake/Dependencies.cmake DESTINATION ${dr_config_dir})
if(TARGET diffreward)
  # an installed program finds the wheels it was linked with, in .venv too
  set_target_properties(diffreward PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR};${torch_dir}/lib;${mujoco_dir}")
  install(TARGETS diffreward RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
