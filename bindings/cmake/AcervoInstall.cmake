# Install rules. What is installed may be moved: nothing in it names the prefix.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
include(AcervoInterpreters)

foreach(directory LIBDIR INCLUDEDIR BINDIR)
  if(IS_ABSOLUTE "${CMAKE_INSTALL_${directory}}")
    message(FATAL_ERROR "CMAKE_INSTALL_${directory} must be relative to the prefix: "
      "what is installed may be moved.")
  endif()
endforeach()

set(acervo_real_name "libacervo.so.${PROJECT_VERSION}")

# ---- the library and its two symlinks
install(FILES "${acervo_library}"
  DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  RENAME "${acervo_real_name}"
  COMPONENT runtime)

# file(CREATE_LINK) with an absolute destination knows nothing of DESTDIR.
function(acervo_install_symlink target link component)
  if(NOT IS_ABSOLUTE "${link}")
    set(link "\${CMAKE_INSTALL_PREFIX}/${link}")
  endif()
  install(CODE "
    set(link \"\$ENV{DESTDIR}${link}\")
    get_filename_component(directory \"\${link}\" DIRECTORY)
    file(MAKE_DIRECTORY \"\${directory}\")
    message(STATUS \"Installing: \${link} -> ${target}\")
    file(CREATE_LINK \"${target}\" \"\${link}\" SYMBOLIC)"
    COMPONENT "${component}")
endfunction()

acervo_install_symlink("${acervo_real_name}"
  "${CMAKE_INSTALL_LIBDIR}/${acervo_soname}" runtime)
acervo_install_symlink("${acervo_soname}"
  "${CMAKE_INSTALL_LIBDIR}/libacervo.so" development)

# ---- headers
install(FILES
  "${CMAKE_CURRENT_SOURCE_DIR}/include/acervo.h"
  "${CMAKE_CURRENT_SOURCE_DIR}/include/acervo.hpp"
  "${CMAKE_CURRENT_SOURCE_DIR}/include/acervo_lua.h"
  DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  COMPONENT development)

# ---- the program
if(ACERVO_BUILD_CLI)
  install(PROGRAMS "${acervo_program}"
    DESTINATION "${CMAKE_INSTALL_BINDIR}"
    COMPONENT runtime)
endif()

# ---- acervo.so for the Lua interpreters; lua5.1 and luajit share a directory
set(ACERVO_LUA_DIRS "default" CACHE STRING
  "Lua module directories that get acervo.so, absolute or below the prefix; default: lib/lua/X.Y of each interpreter found")
set(acervo_lua_dirs "${ACERVO_LUA_DIRS}")
if(ACERVO_LUA_DIRS STREQUAL "default")
  set(acervo_lua_dirs "")
  acervo_find_interpreters(acervo_interpreters acervo_missing_interpreters)
  foreach(interpreter IN LISTS acervo_interpreters)
    acervo_interpreter_version("${interpreter}" version)
    list(APPEND acervo_lua_dirs "lib/lua/${version}")
  endforeach()
  list(REMOVE_DUPLICATES acervo_lua_dirs)
endif()
foreach(directory IN LISTS acervo_lua_dirs)
  # Below the prefix the symlink is relative, so that it moves along.
  if(IS_ABSOLUTE "${directory}")
    set(target "${CMAKE_INSTALL_FULL_LIBDIR}/${acervo_soname}")
  else()
    file(RELATIVE_PATH target "/prefix/${directory}"
      "/prefix/${CMAKE_INSTALL_LIBDIR}/${acervo_soname}")
  endif()
  acervo_install_symlink("${target}" "${directory}/acervo.so" lua)
endforeach()

# ---- find_package(acervo)
set(acervo_config_dir "${CMAKE_INSTALL_LIBDIR}/cmake/acervo")
configure_package_config_file(
  "${CMAKE_CURRENT_SOURCE_DIR}/bindings/cmake/acervo-config.cmake.in"
  "${CMAKE_CURRENT_BINARY_DIR}/acervo-config.cmake"
  INSTALL_DESTINATION "${acervo_config_dir}"
  PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
# Within one soname functions are only added.
write_basic_package_version_file(
  "${CMAKE_CURRENT_BINARY_DIR}/acervo-config-version.cmake"
  VERSION "${PROJECT_VERSION}"
  COMPATIBILITY SameMajorVersion)
install(FILES
  "${CMAKE_CURRENT_BINARY_DIR}/acervo-config.cmake"
  "${CMAKE_CURRENT_BINARY_DIR}/acervo-config-version.cmake"
  DESTINATION "${acervo_config_dir}"
  COMPONENT development)

# ---- pkg-config
set(acervo_pc_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
file(RELATIVE_PATH acervo_pc_prefix "/prefix/${acervo_pc_dir}" "/prefix")
string(REGEX REPLACE "/$" "" acervo_pc_prefix "${acervo_pc_prefix}")
configure_file(
  "${CMAKE_CURRENT_SOURCE_DIR}/bindings/pkgconfig/acervo.pc.in"
  "${CMAKE_CURRENT_BINARY_DIR}/acervo.pc" @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/acervo.pc"
  DESTINATION "${acervo_pc_dir}"
  COMPONENT development)
