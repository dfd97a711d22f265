#include "rewards/rewarded_env.h"
#include "rewards/reading.h"
