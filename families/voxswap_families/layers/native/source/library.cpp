// One translation unit for each instruction set: everything that the library has.
#include "about.hpp"
