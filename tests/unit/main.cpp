// The one main() of every unit test binary.
#define BOOST_TEST_MODULE shunt
#include <boost/test/unit_test.hpp>
