# Finds the stock Lua interpreters of the machine.
#
# acervo_find_interpreters(FOUND MISSING) sets FOUND to the names that are there
# and MISSING to those of ACERVO_LUA_INTERPRETERS that are not. lua5.5 is looked
# for by default and not missed: few distributions have it.
# acervo_interpreter_version(NAME OUT) gives the X.Y of its module directory.

set(ACERVO_LUA_INTERPRETERS "" CACHE STRING
  "Lua interpreters to test and install for; empty: lua5.1 to lua5.4 and luajit, and lua5.5 if found")

function(acervo_find_interpreters out_found out_missing)
  if(ACERVO_LUA_INTERPRETERS)
    set(wanted ${ACERVO_LUA_INTERPRETERS})
    set(welcome "")
  else()
    set(wanted lua5.1 lua5.2 lua5.3 lua5.4 luajit)
    set(welcome lua5.5)
  endif()
  set(found "")
  set(missing "")
  foreach(name IN LISTS wanted welcome)
    string(MAKE_C_IDENTIFIER "ACERVO_PROGRAM_${name}" variable)
    find_program(${variable} "${name}")
    mark_as_advanced(${variable})
    if(${variable})
      list(APPEND found "${name}")
    elseif(name IN_LIST wanted)
      list(APPEND missing "${name}")
    endif()
  endforeach()
  set(${out_found} "${found}" PARENT_SCOPE)
  set(${out_missing} "${missing}" PARENT_SCOPE)
endfunction()

function(acervo_interpreter_program name out)
  string(MAKE_C_IDENTIFIER "ACERVO_PROGRAM_${name}" variable)
  set(${out} "${${variable}}" PARENT_SCOPE)
endfunction()

function(acervo_interpreter_version name out)
  acervo_interpreter_program("${name}" program)
  execute_process(COMMAND "${program}" -e "io.write(_VERSION)"
    OUTPUT_VARIABLE text RESULT_VARIABLE status)
  string(REGEX MATCH "[0-9]+\\.[0-9]+" version "${text}")
  if(NOT status EQUAL 0 OR NOT version)
    message(FATAL_ERROR "${program} does not tell its version: ${text}")
  endif()
  set(${out} "${version}" PARENT_SCOPE)
endfunction()
