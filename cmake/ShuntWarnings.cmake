# shunt_options: what every target of ours is compiled with. Third-party code is not.
add_library(shunt_options INTERFACE)
target_compile_options(shunt_options INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Werror -fno-omit-frame-pointer
  # Members that a designated initialiser leaves out have the defaults that their struct gives them.
  -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12's flow analysis reports initialised optionals and copies inside libstdc++ itself.
  target_compile_options(shunt_options INTERFACE -Wno-maybe-uninitialized -Wno-restrict -Wno-stringop-overflow)
endif()
# Places in asserts, traces and debug information do not depend on where the checkout lies.
add_compile_options(-ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)
if(SHUNT_SANITIZE)
  add_compile_options(-fsanitize=${SHUNT_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${SHUNT_SANITIZE})
endif()
if(SHUNT_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
endif()

# shunt_layer(NAME DEPENDS… SOURCES…): one layer of docs/ARCHITECTURE.md as a static library.
function(shunt_layer name)
  cmake_parse_arguments(LAYER "" "" "SOURCES;DEPENDS;PRIVATE_DEPENDS" ${ARGN})
  add_library(shunt_${name} STATIC ${LAYER_SOURCES})
  target_include_directories(shunt_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(shunt_${name} PUBLIC ${LAYER_DEPENDS} PRIVATE shunt_options ${LAYER_PRIVATE_DEPENDS})
endfunction()
