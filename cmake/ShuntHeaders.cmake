# The target `checkheaders`: each header of src/ compiled alone, so that none relies on what its includer included.

# shunt_check_headers(): call it when all layers exist.
function(shunt_check_headers)
  file(GLOB_RECURSE headers RELATIVE ${PROJECT_SOURCE_DIR}/src CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/*.h)
  set(sources)
  foreach(header IN LISTS headers)
    string(MAKE_C_IDENTIFIER ${header} name)
    set(source ${PROJECT_BINARY_DIR}/headers/${name}.cpp)
    # Twice: a header that lacks its guard fails as well.
    file(CONFIGURE OUTPUT ${source} CONTENT "#include \"${header}\"\n#include \"${header}\"\n")
    list(APPEND sources ${source})
  endforeach()
  add_library(checkheaders OBJECT EXCLUDE_FROM_ALL ${sources})
  target_include_directories(checkheaders PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_compile_options(checkheaders PRIVATE -O0 -g0)
  target_link_libraries(checkheaders PRIVATE shunt_options fmt::fmt shunt_llhttp PkgConfig::URING PkgConfig::RE2 OpenSSL::SSL
    tomlplusplus::tomlplusplus nlohmann_json::nlohmann_json CLI11::CLI11)
endfunction()
