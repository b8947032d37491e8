# The target acervo::acervo, built by cargo.
#
# A custom target rather than a custom command: cargo knows its own inputs and
# does nothing when nothing changed.
find_program(ACERVO_CARGO cargo
  HINTS "$ENV{CARGO_HOME}/bin" "$ENV{HOME}/.cargo/bin"
  DOC "The cargo program that builds the library")
if(NOT ACERVO_CARGO)
  message(FATAL_ERROR "acervo needs cargo (Rust) to build: none was found. "
    "Install Rust or set ACERVO_CARGO.")
endif()

if(ACERVO_CARGO_TARGET_DIR)
  set(acervo_target_dir "${ACERVO_CARGO_TARGET_DIR}")
elseif(DEFINED ENV{CARGO_TARGET_DIR} AND NOT "$ENV{CARGO_TARGET_DIR}" STREQUAL "")
  set(acervo_target_dir "$ENV{CARGO_TARGET_DIR}")
else()
  set(acervo_target_dir "target")
endif()
get_filename_component(acervo_target_dir "${acervo_target_dir}" ABSOLUTE
  BASE_DIR "${CMAKE_CURRENT_SOURCE_DIR}")

# scripts/sanitize builds for a named target, so that its flags are not those of
# build scripts and macros too.
set(acervo_cargo_triple "")
set(acervo_release_dir "${acervo_target_dir}/release")
if(ACERVO_CARGO_TRIPLE)
  set(acervo_cargo_triple --target "${ACERVO_CARGO_TRIPLE}")
  set(acervo_release_dir "${acervo_target_dir}/${ACERVO_CARGO_TRIPLE}/release")
endif()
set(acervo_library "${acervo_release_dir}/libacervo.so")
set(acervo_program "${acervo_release_dir}/acervo")
set(acervo_soname "libacervo.so.0")

set(acervo_cargo_packages -p acervo)
set(acervo_cargo_outputs "${acervo_library}" "${acervo_release_dir}/${acervo_soname}")
if(ACERVO_BUILD_CLI)
  # One resolution for both, so that no dependency is compiled twice.
  set(acervo_cargo_packages --workspace)
  list(APPEND acervo_cargo_outputs "${acervo_program}")
endif()

# Programs in the build tree ask for the soname, cargo's file has none in its
# name: a symlink beside it stands in.
add_custom_target(acervo_cargo ALL
  COMMAND "${CMAKE_COMMAND}" -E env --unset=CARGO_BUILD_TARGET
    "CARGO_TARGET_DIR=${acervo_target_dir}"
    "${ACERVO_CARGO}" build --release --locked ${acervo_cargo_triple} ${acervo_cargo_packages}
  COMMAND "${CMAKE_COMMAND}" -E create_symlink libacervo.so
    "${acervo_release_dir}/${acervo_soname}"
  WORKING_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}"
  BYPRODUCTS ${acervo_cargo_outputs}
  COMMENT "Building libacervo with cargo"
  USES_TERMINAL
  VERBATIM)

add_library(acervo::acervo SHARED IMPORTED GLOBAL)
set_target_properties(acervo::acervo PROPERTIES
  IMPORTED_LOCATION "${acervo_library}"
  IMPORTED_SONAME "${acervo_soname}"
  INTERFACE_INCLUDE_DIRECTORIES "${CMAKE_CURRENT_SOURCE_DIR}/include")
add_dependencies(acervo::acervo acervo_cargo)
