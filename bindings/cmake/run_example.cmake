# Runs a first program twice on a new file: it must count.
#   cmake -DPROGRAM=... -DFILE=... -P run_example.cmake
file(REMOVE "${FILE}" "${FILE}-wal" "${FILE}-shm")
foreach(run RANGE 1 2)
  execute_process(COMMAND "${PROGRAM}" "${FILE}"
    RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  message("${output}")
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "run ${run} ended with ${status}")
  endif()
  if(NOT output MATCHES "has run ${run} times")
    message(FATAL_ERROR "run ${run} did not count to ${run}")
  endif()
endforeach()
