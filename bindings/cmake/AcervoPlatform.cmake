# Stops where the library does not run, before cargo does so less clearly.
include(CheckSymbolExists)

set(acervo_supported "acervo runs on Linux with glibc, x86-64 and aarch64")

if(NOT CMAKE_SYSTEM_NAME STREQUAL "Linux")
  message(FATAL_ERROR "${acervo_supported}; this is ${CMAKE_SYSTEM_NAME}.")
endif()
if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64|aarch64|arm64)$"
    OR NOT CMAKE_SIZEOF_VOID_P EQUAL 8)
  message(FATAL_ERROR "${acervo_supported}; this is ${CMAKE_SYSTEM_PROCESSOR} "
    "with pointers of ${CMAKE_SIZEOF_VOID_P} bytes.")
endif()
check_symbol_exists(__GLIBC__ "features.h" ACERVO_HAVE_GLIBC)
if(NOT ACERVO_HAVE_GLIBC)
  message(FATAL_ERROR "${acervo_supported}; the C library found here is not glibc.")
endif()
