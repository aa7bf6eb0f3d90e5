#include "frontend/other_walk.h"

namespace bifront {

CannotFork otherWalk(const Policies &policies, const MergedHistory &history,
                     const std::string &why) {
  const void *site = history.origin.site;
  auto known = policies.find(site);
  bool isPeeled = known != policies.end() && known->second >= Policy::PeelFirst;
  return {site, history.origin.loops && !isPeeled ? Policy::PeelFirst : Policy::OneWay, why};
}

} // namespace bifront
