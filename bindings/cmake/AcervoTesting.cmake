# What all tests share: warnings, where scratch files go, how a test is added.
find_package(Threads REQUIRED)

set(acervo_source_dir "${CMAKE_CURRENT_SOURCE_DIR}")

set(ACERVO_C_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Werror)

set(ACERVO_TEST_DIR "${CMAKE_CURRENT_BINARY_DIR}/scratch" CACHE PATH
  "Where tests make their files; a real disk tests more than a tmpfs")
file(MAKE_DIRECTORY "${ACERVO_TEST_DIR}")

# acervo.so as users have it (a symlink) and as some will (a copy).
set(acervo_lua_symlink_dir "${CMAKE_CURRENT_BINARY_DIR}/lua/symlink")
set(acervo_lua_copy_dir "${CMAKE_CURRENT_BINARY_DIR}/lua/copy")
file(MAKE_DIRECTORY "${acervo_lua_symlink_dir}" "${acervo_lua_copy_dir}")
add_custom_target(acervo_lua_modules ALL
  COMMAND "${CMAKE_COMMAND}" -E create_symlink
    "${acervo_release_dir}/${acervo_soname}" "${acervo_lua_symlink_dir}/acervo.so"
  COMMAND "${CMAKE_COMMAND}" -E copy_if_different
    "${acervo_library}" "${acervo_lua_copy_dir}/acervo.so"
  DEPENDS acervo_cargo
  VERBATIM)

# A hanging test must not hang the whole run.
set(acervo_test_timeout 120)

# acervo_add_test(NAME name COMMAND ... [ENVIRONMENT A=b ...] [LABELS ...] [SERIAL])
function(acervo_add_test)
  cmake_parse_arguments(ARG "SERIAL" "NAME;TIMEOUT" "COMMAND;ENVIRONMENT;LABELS" ${ARGN})
  add_test(NAME "${ARG_NAME}" COMMAND ${ARG_COMMAND})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT "${acervo_test_timeout}")
  endif()
  if(NOT "${ARG_ENVIRONMENT}" MATCHES "ACERVO_TEST_DIR=")
    list(APPEND ARG_ENVIRONMENT "ACERVO_TEST_DIR=${ACERVO_TEST_DIR}")
  endif()
  set_tests_properties("${ARG_NAME}" PROPERTIES
    TIMEOUT "${ARG_TIMEOUT}"
    ENVIRONMENT "${ARG_ENVIRONMENT}"
    LABELS "${ARG_LABELS}")
  if(ARG_SERIAL)
    set_tests_properties("${ARG_NAME}" PROPERTIES RUN_SERIAL TRUE)
  endif()
endfunction()

# acervo_add_example_test(name target [expected regex])
function(acervo_add_example_test name target)
  acervo_add_test(NAME "${name}" LABELS example
    COMMAND "${CMAKE_COMMAND}"
      "-DPROGRAM=$<TARGET_FILE:${target}>"
      "-DFILE=${ACERVO_TEST_DIR}/${name}.db"
      "-DEXPECTED=${ARGN}"
      -P "${acervo_source_dir}/bindings/cmake/run_example.cmake")
endfunction()
# Valgrind, if it is there: wrong accesses and definite leaks fail a test. It
# sees what the allocator gives, not what is kept in pools.
find_program(ACERVO_VALGRIND valgrind)
mark_as_advanced(ACERVO_VALGRIND)
set(acervo_valgrind_command
  "${CMAKE_COMMAND}" -E env ACERVO_POOL=off
  "${ACERVO_VALGRIND}" --tool=memcheck --quiet --error-exitcode=99
  --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite
  --num-callers=30
  "--suppressions=${CMAKE_CURRENT_SOURCE_DIR}/tests/c/valgrind.supp")
