# The Lua suite in every stock interpreter.
#
# A missing interpreter is an error: a suite that silently ran in one Lua only
# would look the same as one that ran in all.
include(AcervoInterpreters)

acervo_find_interpreters(acervo_luas acervo_missing_luas)
if(acervo_missing_luas)
  string(REPLACE ";" ", " missing "${acervo_missing_luas}")
  message(FATAL_ERROR "Lua interpreters are missing: ${missing}. Install them (scripts/bootstrap "
    "does), or set ACERVO_LUA_INTERPRETERS to the ones to test with.")
endif()

set(acervo_lua_suite "${CMAKE_CURRENT_SOURCE_DIR}/tests/lua")
set(acervo_lua_environment "LUA_CPATH=${acervo_lua_symlink_dir}/?.so")

# acervo_lua_command(OUT interpreter args...): these variables of a user's
# environment would change what is tested.
function(acervo_lua_command out interpreter)
  acervo_interpreter_program("${interpreter}" program)
  set(unset "")
  foreach(variable EXEC_IDENT ACERVO_PATH LUA_INIT LUA_INIT_5_2 LUA_INIT_5_3 LUA_INIT_5_4
      LUA_CPATH_5_2 LUA_CPATH_5_3 LUA_CPATH_5_4 LUA_CPATH_5_5)
    list(APPEND unset "--unset=${variable}")
  endforeach()
  set(${out} "${CMAKE_COMMAND}" -E env ${unset} "${program}" ${ARGN} PARENT_SCOPE)
endfunction()

# Under a collector that never rests, those that differ most: 5.2 and 5.3 have
# the collector of their neighbours.
set(acervo_gc_luas lua5.1 lua5.4 luajit)
foreach(lua IN LISTS acervo_luas)
  acervo_lua_command(command "${lua}" "${acervo_lua_suite}/run.lua")
  foreach(pressure "" ".gc")
    if(pressure AND NOT lua IN_LIST acervo_gc_luas)
      continue()
    endif()
    set(environment ${acervo_lua_environment})
    if(pressure)
      list(APPEND environment ACERVO_TEST_GC=1)
    endif()
    # A directory for each run: they may run at the same time.
    set(directory "${ACERVO_TEST_DIR}/${lua}${pressure}")
    file(MAKE_DIRECTORY "${directory}")
    acervo_add_test(NAME "lua.${lua}${pressure}" COMMAND ${command} LABELS lua TIMEOUT 300
      ENVIRONMENT ${environment} "ACERVO_TEST_DIR=${directory}")
    set_tests_properties("lua.${lua}${pressure}" PROPERTIES
      WORKING_DIRECTORY "${acervo_lua_suite}")
  endforeach()
endforeach()

# What one interpreter wrote another reads, for each ordered pair.
foreach(writer IN LISTS acervo_luas)
  foreach(reader IN LISTS acervo_luas)
    if(writer STREQUAL reader)
      continue()
    endif()
    acervo_interpreter_program("${writer}" writer_program)
    acervo_interpreter_program("${reader}" reader_program)
    acervo_add_test(NAME "lua.exchange.${writer}.${reader}" LABELS lua
      ENVIRONMENT ${acervo_lua_environment}
      COMMAND "${CMAKE_COMMAND}"
        "-DWRITER=${writer_program}" "-DREADER=${reader_program}"
        "-DSUITE=${acervo_lua_suite}"
        "-DFILE=${ACERVO_TEST_DIR}/exchange-${writer}-${reader}.db"
        -P "${CMAKE_CURRENT_SOURCE_DIR}/bindings/cmake/run_exchange.cmake")
  endforeach()
endforeach()

# In two parts, which run at the same time; with few rounds of everything.
if(ACERVO_VALGRIND AND "lua5.4" IN_LIST acervo_luas)
  file(GLOB files RELATIVE "${acervo_lua_suite}" CONFIGURE_DEPENDS "${acervo_lua_suite}/test_*.lua")
  set(entries ${files})
  list(FILTER entries INCLUDE REGEX "test_entries_")
  set(others ${files})
  list(FILTER others EXCLUDE REGEX "test_entries_")
  foreach(part entries others)
    acervo_lua_command(command lua5.4 "${acervo_lua_suite}/run.lua" ${${part}})
    list(FIND command "--unset=LUA_CPATH_5_5" last)
    math(EXPR after "${last} + 1")
    list(INSERT command ${after} ${acervo_valgrind_command})
    set(directory "${ACERVO_TEST_DIR}/lua5.4.valgrind.${part}")
    file(MAKE_DIRECTORY "${directory}")
    acervo_add_test(NAME "lua.lua5.4.valgrind.${part}" COMMAND ${command} LABELS lua valgrind
      TIMEOUT 900
      ENVIRONMENT ${acervo_lua_environment} ACERVO_TEST_GC=1 "ACERVO_TEST_DIR=${directory}")
    set_tests_properties("lua.lua5.4.valgrind.${part}" PROPERTIES
      WORKING_DIRECTORY "${acervo_lua_suite}")
  endforeach()
endif()
