# One step of the consumer tests; CMakeLists.txt beside this file passes the
# variables. STEP says which.
set(first_prefix "${WORK_DIR}/installed")
set(prefix "${WORK_DIR}/moved")
set(libdir "${prefix}/${LIBDIR}")

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    string(REPLACE ";" " " command "${ARGN}")
    message(FATAL_ERROR "ended with ${status}: ${command}")
  endif()
endfunction()

function(require condition)
  if(NOT (${ARGN}))
    message(FATAL_ERROR "${condition}")
  endif()
endfunction()

# Configures, builds and runs one of the projects beside this file.
function(build_and_run project)
  cmake_parse_arguments(ARG "" "" "OPTIONS;PROGRAMS" ${ARGN})
  set(build "${WORK_DIR}/build-${project}")
  file(REMOVE_RECURSE "${build}")
  run("${CMAKE_COMMAND}" -S "${SOURCE_DIR}/${project}" -B "${build}" -G "${GENERATOR}"
    "-DCMAKE_C_COMPILER=${C_COMPILER}" "-DCMAKE_CXX_COMPILER=${CXX_COMPILER}" ${ARG_OPTIONS})
  run("${CMAKE_COMMAND}" --build "${build}")
  foreach(program IN LISTS ARG_PROGRAMS)
    run_first("${build}/${program}" "${project}-${program}")
  endforeach()
endfunction()

function(run_first program name)
  run("${CMAKE_COMMAND}" "-DPROGRAM=${program}" "-DFILE=${WORK_DIR}/${name}.db"
    -P "${ROOT_DIR}/bindings/cmake/run_example.cmake")
endfunction()

# Compiles with what pkg-config says and nothing else.
function(build_by_pkg_config compiler standard source)
  set(ENV{PKG_CONFIG_PATH} "${libdir}/pkgconfig")
  execute_process(COMMAND pkg-config --cflags --libs acervo
    RESULT_VARIABLE status OUTPUT_VARIABLE flags OUTPUT_STRIP_TRAILING_WHITESPACE)
  require("pkg-config finds no acervo" status EQUAL 0)
  separate_arguments(flags UNIX_COMMAND "${flags}")
  run("${compiler}" "${standard}" -o "${WORK_DIR}/${STEP}" "${source}" ${flags})
  set(ENV{LD_LIBRARY_PATH} "${libdir}")
  run_first("${WORK_DIR}/${STEP}" "${STEP}")
endfunction()

if(STEP STREQUAL "install")
  file(REMOVE_RECURSE "${first_prefix}" "${prefix}")
  run("${CMAKE_COMMAND}" --install "${BUILD_DIR}" --prefix "${first_prefix}")
  file(RENAME "${first_prefix}" "${prefix}")

elseif(STEP STREQUAL "layout")
  foreach(file include/acervo.h include/acervo.hpp include/acervo_lua.h
      ${LIBDIR}/libacervo.so.${VERSION} ${LIBDIR}/libacervo.so.0 ${LIBDIR}/libacervo.so
      ${LIBDIR}/cmake/acervo/acervo-config.cmake ${LIBDIR}/cmake/acervo/acervo-config-version.cmake
      ${LIBDIR}/pkgconfig/acervo.pc)
    # EXISTS follows symlinks: none of them dangles.
    require("${file} is not installed" EXISTS "${prefix}/${file}")
  endforeach()
  require("libacervo.so.0 is no symlink" IS_SYMLINK "${libdir}/libacervo.so.0")
  # Nothing names where it was built or first installed.
  foreach(file cmake/acervo/acervo-config.cmake pkgconfig/acervo.pc)
    file(READ "${libdir}/${file}" text)
    foreach(path "${WORK_DIR}" "${ROOT_DIR}")
      string(FIND "${text}" "${path}" at)
      require("${file} names ${path}" at EQUAL -1)
    endforeach()
  endforeach()

elseif(STEP MATCHES "^find_package_")
  build_and_run(${STEP} OPTIONS "-DCMAKE_PREFIX_PATH=${prefix}" PROGRAMS consumer)

elseif(STEP STREQUAL "add_subdirectory")
  # The same packages as the build that is tested, so that cargo has no more to
  # do than to see that.
  build_and_run(add_subdirectory
    OPTIONS "-DACERVO_CARGO=${CARGO}" "-DACERVO_CARGO_TARGET_DIR=${TARGET_DIR}"
      "-DACERVO_BUILD_CLI=${WITH_PROGRAM}"
    PROGRAMS consumer consumer_cpp)

elseif(STEP STREQUAL "pkg_config_c")
  build_by_pkg_config("${C_COMPILER}" -std=c99 "${ROOT_DIR}/examples/c/first.c")

elseif(STEP STREQUAL "pkg_config_cpp")
  build_by_pkg_config("${CXX_COMPILER}" -std=c++17 "${ROOT_DIR}/examples/cpp/first.cpp")

elseif(STEP MATCHES "^lua_")
  # The module as it was installed, found by nothing but package.cpath.
  set(module_dir "${prefix}/lib/lua/${LUA_VERSION}")
  require("${module_dir}/acervo.so is no symlink" IS_SYMLINK "${module_dir}/acervo.so")
  unset(ENV{EXEC_IDENT})
  run("${LUA_PROGRAM}" -e "package.cpath = [[${module_dir}/?.so]]
    local db = assert(require('acervo').open(':memory:'))
    db.store.put('k', {1, 'two'})
    assert(db.store.get('k')[2] == 'two')
    assert(require('acervo')._VERSION:find('${VERSION}', 1, true))")

elseif(STEP STREQUAL "program")
  run("${prefix}/bin/acervo" --version)
  file(WRITE "${WORK_DIR}/program.lua"
    "store.put('runs', (store.get('runs') or 0) + 1) print(store.get('runs'))\n")
  run("${prefix}/bin/acervo" run "${WORK_DIR}/program.lua" --ident consumer
    --db "${WORK_DIR}/program.db")

else()
  message(FATAL_ERROR "no such step: ${STEP}")
endif()
