// acervo.h alone in C++11 and later, acervo.hpp where there is C++17.
#include "acervo.h"
#include "acervo.h"
#if __cplusplus >= 201703L
#include "acervo.hpp"
#include "acervo.hpp"
#endif

static_assert(ACERVO_OK == 0 && ACERVO_INVALID < 0, "the constants are constants");
