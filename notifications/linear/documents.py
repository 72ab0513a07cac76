"""What we say to Linear, in GraphQL. The tests validate each document against the schema that Linear publishes."""

TEAM = """
query Team($key: String!) {
  teams(filter: { key: { eq: $key } }, first: 1) {
    nodes {
      id
      key
      states(first: 250) { nodes { id name type position } }
    }
  }
}
"""

STANDING = """
query Standing($issue: ID!, $comment: ID!, $after: String) {
  issues(filter: { id: { eq: $issue } }, includeArchived: true, first: 1) {
    nodes {
      id
      identifier
      title
      description
      priority
      trashed
      archivedAt
      state { id type }
      comments(filter: { id: { eq: $comment } }, includeArchived: true, first: 1) { nodes { id } }
      attachments(first: 250, after: $after) {
        nodes { url metadata }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
}
"""

CREATE_ISSUE = """
mutation CreateIssue($input: IssueCreateInput!) {
  issueCreate(input: $input) { success issue { id } }
}
"""

UPDATE_ISSUE = """
mutation UpdateIssue($issue: String!, $input: IssueUpdateInput!) {
  issueUpdate(id: $issue, input: $input) { success }
}
"""

UNARCHIVE_ISSUE = """
mutation UnarchiveIssue($issue: String!) {
  issueUnarchive(id: $issue) { success }
}
"""

CREATE_COMMENT = """
mutation CreateComment($input: CommentCreateInput!) {
  commentCreate(input: $input) { success }
}
"""

UPDATE_COMMENT = """
mutation UpdateComment($comment: String!, $input: CommentUpdateInput!) {
  commentUpdate(id: $comment, input: $input) { success }
}
"""

ATTACH = """
mutation Attach($input: AttachmentCreateInput!) {
  attachmentCreate(input: $input) { success }
}
"""

DOCUMENTS = (TEAM, STANDING, CREATE_ISSUE, UPDATE_ISSUE, UNARCHIVE_ISSUE, CREATE_COMMENT, UPDATE_COMMENT, ATTACH)
