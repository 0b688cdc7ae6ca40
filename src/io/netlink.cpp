// The kernel's answers, message by message; and requests, whose parts are padded to four bytes and
// say how long they are without. See netlink.h.
#include "io/netlink.h"

#include <fmt/format.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "core/assert.h"

namespace shunt::io {
namespace {

constexpr size_t kReplyMax = 64 * 1024;
constexpr size_t kVerdictMax = 8 * 1024;  // With the request that it is about.

}  // namespace

NetlinkSocket::NetlinkSocket(unsigned groups)
    : fd_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | (groups != 0 ? SOCK_NONBLOCK : 0),
                   NETLINK_ROUTE)) {
  const sockaddr_nl address{.nl_family = AF_NETLINK, .nl_groups = groups};
  const auto* any = reinterpret_cast<const sockaddr*>(&address);
  if (fd_ >= 0 && ::bind(fd_, any, sizeof address) != 0) {
    const int error = errno;
    ::close(fd_);
    fd_ = -1;
    errno = error;
  }
}

NetlinkSocket::~NetlinkSocket() {
  if (fd_ >= 0) ::close(fd_);
}

std::unexpected<Error> netlink_failed(std::string_view step, int error) {
  return fail(fmt::format("rtnetlink: {}: {}", step, std::strerror(error)), error);
}

IpAddress netlink_address(int family, const void* bytes) {
  if (family == AF_INET) {
    uint32_t word = 0;
    std::memcpy(&word, bytes, sizeof word);
    return IpAddress::from_v4(ntohl(word));
  }
  IpAddress address;
  std::memcpy(address.bytes.data(), bytes, address.bytes.size());
  return address;
}

size_t address_size(int family) {
  return family == AF_INET ? sizeof(in_addr) : sizeof(in6_addr);
}

uint32_t word_of(const rtattr* attribute) {
  uint32_t word = 0;
  std::memcpy(&word, RTA_DATA(attribute), std::min(sizeof word, size_t{RTA_PAYLOAD(attribute)}));
  return word;
}

NetlinkDialog::NetlinkDialog() : socket_(0), reply_(kReplyMax) {}

Result<void> NetlinkDialog::ask(std::span<const uint8_t> request) {
  if (socket_.get() < 0) return netlink_failed("socket", errno);
  if (::send(socket_.get(), request.data(), request.size(), 0) < 0)
    return netlink_failed("send", errno);
  return {};
}

Result<const nlmsghdr*> NetlinkDialog::next() {
  if (at_ != nullptr) at_ = NLMSG_NEXT(at_, left_);
  while (at_ == nullptr || !NLMSG_OK(at_, left_)) {
    if (!more_) return nullptr;
    const ssize_t size = ::recv(socket_.get(), reply_.data(), reply_.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return netlink_failed("receive", errno);
    at_ = reinterpret_cast<const nlmsghdr*>(reply_.data());
    left_ = static_cast<unsigned>(size);
    more_ = false;
  }
  if (at_->nlmsg_type == NLMSG_DONE) return nullptr;
  if (at_->nlmsg_type == NLMSG_ERROR)
    return netlink_failed("answer", -static_cast<const nlmsgerr*>(NLMSG_DATA(at_))->error);
  more_ = (at_->nlmsg_flags & NLM_F_MULTI) != 0;
  return at_;
}

void NetlinkRequest::begin(uint16_t type, uint16_t flags) {
  const nlmsghdr header{.nlmsg_type = type,
                        .nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags)};
  append(&header, sizeof header);
}

void NetlinkRequest::append(const void* bytes, size_t size) {
  const auto* first = static_cast<const uint8_t*>(bytes);
  bytes_.insert(bytes_.end(), first, first + size);
  bytes_.resize(NLMSG_ALIGN(bytes_.size()));
}

void NetlinkRequest::add(uint16_t type, std::span<const uint8_t> value) {
  const rtattr attribute{.rta_len = static_cast<uint16_t>(RTA_LENGTH(value.size())),
                         .rta_type = type};
  append(&attribute, sizeof attribute);
  append(value.data(), value.size());
}

void NetlinkRequest::add(uint16_t type, uint32_t value) {
  std::array<uint8_t, sizeof value> bytes;
  std::memcpy(bytes.data(), &value, sizeof value);
  add(type, bytes);
}

void NetlinkRequest::add(uint16_t type, const IpAddress& address) {
  const std::span<const uint8_t> whole(address.bytes);
  add(type, address.is_v4() ? whole.last(sizeof(in_addr)) : whole);
}

size_t NetlinkRequest::open(uint16_t type) {
  const size_t place = bytes_.size();
  add(type, std::span<const uint8_t>());
  return place;
}

void NetlinkRequest::close(size_t place) {
  SHUNT_ASSERT(place < bytes_.size());
  const auto size = static_cast<uint16_t>(bytes_.size() - place);
  std::memcpy(bytes_.data() + place, &size, sizeof size);  // rta_len.
}

int NetlinkRequest::send() {
  const NetlinkSocket socket(0);
  if (socket.get() < 0) return errno;
  const auto size = static_cast<uint32_t>(bytes_.size());
  std::memcpy(bytes_.data(), &size, sizeof size);  // nlmsg_len.
  if (::send(socket.get(), bytes_.data(), bytes_.size(), 0) < 0) return errno;
  alignas(nlmsghdr) std::array<uint8_t, kVerdictMax> reply;
  ssize_t got = 0;
  do {
    got = ::recv(socket.get(), reply.data(), reply.size(), 0);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return errno;
  const auto* answer = reinterpret_cast<const nlmsghdr*>(reply.data());
  if (!NLMSG_OK(answer, static_cast<unsigned>(got)) || answer->nlmsg_type != NLMSG_ERROR)
    return EPROTO;
  return -static_cast<const nlmsgerr*>(NLMSG_DATA(answer))->error;
}

}  // namespace shunt::io
