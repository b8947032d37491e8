/* acervo.h alone, and twice: it needs nothing before it. */
#include "acervo.h"
#include "acervo.h"

typedef int the_constants_are_constants[ACERVO_OK - ACERVO_INVALID > 0 ? 1 : -1];

int acervo_header_works(void);

int acervo_header_works(void)
{
    the_constants_are_constants unused;
    (void)unused;
    return ACERVO_VERSION_MAJOR * 1000000 + ACERVO_VERSION_MINOR * 1000 + ACERVO_VERSION_PATCH;
}
