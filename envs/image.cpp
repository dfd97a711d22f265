#include "envs/image.h"
