# Runs a program twice on a new file: it must count, or print what is expected.
#   cmake -DPROGRAM=... -DFILE=... [-DEXPECTED=regex] -P run_example.cmake
file(REMOVE "${FILE}" "${FILE}-wal" "${FILE}-shm")
foreach(run RANGE 1 2)
  execute_process(COMMAND "${PROGRAM}" "${FILE}"
    RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  message("${output}")
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "run ${run} ended with ${status}")
  endif()
  if(EXPECTED)
    set(expected "${EXPECTED}")
  else()
    set(expected "has run ${run} times")
  endif()
  if(NOT output MATCHES "${expected}")
    message(FATAL_ERROR "run ${run} did not print ${expected}")
  endif()
endforeach()
