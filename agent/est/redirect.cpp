#include "agent/est/redirect.h"

#include "agent/est/url.h"

namespace devid::est {
namespace {

Result<Request> refuse(const Answer& answer, std::string reason, std::string hint) {
  return fail(
      {.code = Errc::server_protocol,
       .retry = Retry::after_operator,
       .what = "the server answers with a redirect that devid does not follow: status " + std::to_string(answer.status),
       .reason = std::move(reason),
       .hint = std::move(hint)});
}

}  // namespace

bool is_redirect(const Answer& answer) {
  switch (answer.status) {
    case 301:
    case 302:
    case 303:
    case 307:
    case 308: return true;
    default: return false;
  }
}

Result<Request> follow(const Request& request, const Answer& answer) {
  const std::string_view location = answer.header("location");
  if (location.empty()) return refuse(answer, "it names no location", "see the server's configuration");
  const auto from = Url::parse(request.url);
  if (!from) return tl::unexpected(from.error());
  const auto to = Url::parse(location, request.url);
  if (!to || to->origin() != from->origin()) {
    return refuse(answer, "it leads to " + printable(location, 200),
                  "if the EST server has moved there, write its new URL into the profile");
  }
  if (request.content && answer.status != 307 && answer.status != 308)
    return refuse(answer, "it would turn the request into a GET", "the server has to answer with 307 or 308");
  Request next = request;
  next.url = to->text();
  return next;
}

}  // namespace devid::est
