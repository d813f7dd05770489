#include "dbus/ctl/follow.h"

namespace devid::ctl {

Exit enroll(Client& client, const JobRequest& request, Format format) {
  return follow_one(client, format, request, "Enroll");
}

}  // namespace devid::ctl
