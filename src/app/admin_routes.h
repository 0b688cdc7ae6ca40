// Which request is answered with what. On the admin thread.
#pragma once

#include "app/admin_http.h"
#include "app/admin_source.h"

namespace shunt::app {

// `source` must outlive the answer's stream.
AdminReply answer(const AdminRequest& request, AdminSource& source);

}  // namespace shunt::app
