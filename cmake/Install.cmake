# cmake --install: headers, libraries, the command, and what find_package(DiffReward) reads.
include(CMakePackageConfigHelpers)
get_property(dr_libraries GLOBAL PROPERTY DIFFREWARD_LIBRARIES)
list(REMOVE_ITEM dr_libraries diffreward_cli)  # the program's inside, not an interface
install(TARGETS ${dr_libraries} EXPORT DiffRewardTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
set(dr_config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/DiffReward)
install(EXPORT DiffRewardTargets NAMESPACE diffreward:: DESTINATION ${dr_config_dir})
foreach(folder core envs datasets agents rewards leaderboard)
  install(DIRECTORY ${folder} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/diffreward FILES_MATCHING PATTERN "*.h")
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
