// The same host as C++.
#include "embed.c"
