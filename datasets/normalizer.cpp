#include "datasets/normalizer.h"
